#include "submission.h"

int submission_decode(const struct session *session, const char *map, size_t len, struct job *ret, struct err *err)
{
	const struct job_message message = {
		.body = map,
		.body_len = len,
		.content_type = "application/msgpack",
		.pool = DEFAULT_POOL,
		.priority = session->app->default_priority,
	};

	return job_decode(ret, &message, &session->limits, err);
}
