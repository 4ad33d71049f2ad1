#include <flotilla/flotilla.h>
#include <stdio.h>

#include "job/job.h"

const char *flotilla_version(void) { return FLOTILLA_VERSION; }

int flotilla_check_job(const void *body, size_t len, const char *content_type, char *error, size_t size)
{
	const struct job_message message = {
		.body = body, .body_len = len, .content_type = content_type, .pool = "default", .priority = "normal"};
	struct job job;
	struct err err;

	if (job_decode(&job, &message, &job_limits_default, &err) == 0) {
		job_release(&job);
		return 0;
	}
	if (size > 0)
		snprintf(error, size, "%s", err.text);
	return -1;
}
