/* Whatever a stranger publishes: job_decode never crashes, its errors are clean text, and what it takes it takes again
 * from the spec, the same. The first byte of the input chooses the content type, and whether the broker knows who
 * published. */

#include "fuzz.h"
#include "job/job.h"
#include "job/json.h"

static bool same_text(const char *a, const char *b) { return a == b || (a && b && strcmp(a, b) == 0); }

static void check_again(const struct job *job)
{
	struct job again;
	struct buf first = BUF_INIT, second = BUF_INIT;
	struct err err;

	must(job_decode_spec(&again, job->spec, job->spec_len, job->id, job->pool, job->priority, &job_limits_default,
			     &err) == 0);
	must(same_text(again.user, job->user) && same_text(again.dedup, job->dedup));
	must(same_text(again.id, job->id) && same_text(again.task, job->task) && same_text(again.pool, job->pool));
	must(again.after_count == job->after_count && again.argc == job->argc && again.retries == job->retries);
	must(msgpack_to_json(&job->args, &first, &err) == 0);
	must(msgpack_to_json(&again.args, &second, &err) == 0);
	must(first.len == second.len && memcmp(first.data, second.data, first.len) == 0);
	buf_release(&first);
	buf_release(&second);
	job_release(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const types[] = {NULL, "application/json", "application/msgpack", NULL};
	struct job_message message = {.message_id = "m", .pool = "default", .priority = "normal", .reply_to = "r"};
	struct err err;
	struct job job;

	if (size == 0)
		return 0;
	message.content_type = types[data[0] & 3];
	message.user = data[0] & 4 ? "alice" : NULL;
	message.body = (const char *)data + 1;
	message.body_len = size - 1;
	free(job_guess_id(&message));
	if (job_decode(&job, &message, &job_limits_default, &err)) {
		must_be_words(&err);
		return 0;
	}
	check_again(&job);
	job_release(&job);
	return 0;
}
