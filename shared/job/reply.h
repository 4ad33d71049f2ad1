/* The answers that go to a job's `reply_to`: how it ended, or why a message is no job. Pure. */
#ifndef FLOTILLA_JOB_REPLY_H
#define FLOTILLA_JOB_REPLY_H

#include <stdint.h>

#include "base/buf.h"
#include "job/job.h"

/* Members that are NULL become null; `result` is JSON text or NULL; times are Unix ms, 0 where there is none (null). */
struct job_reply {
	const char *id;
	const char *state;
	const char *result;
	const char *error;
	const char *reason;
	int64_t attempt;
	int64_t started_at;
	int64_t ended_at;
};

/* Appends the map {id, state, result, error, reason, attempt, started_at, ended_at} in the encoding asked for. A result
 * that is no JSON (it cannot be, a worker checked it) becomes null. */
void job_reply_encode(const struct job_reply *reply, enum job_encoding encoding, struct buf *ret);

/* The answer to a message that is no job: {id, state: "rejected", reason, error}. `id` may be NULL. The reason is
 * "rejected", or "not allowed" for a job that would be one from somebody else. */
void job_reply_rejected(const char *id, enum job_reason reason, const char *error, enum job_encoding encoding,
			struct buf *ret);

#endif
