/* A job as it travels: decoding, strict, of what a client sent (docs/protocol.md, "A job on the wire").
 *
 * Pure: no I/O, no globals; any thread. A decoded job owns all that it points to, in one arena; `job_release` frees it.
 * To add a field: a row in the table of fields in decode.c, a member here, a line in docs/protocol.md.
 */
#ifndef FLOTILLA_JOB_JOB_H
#define FLOTILLA_JOB_JOB_H

#include <msgpack.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "job/state.h"

enum job_encoding { JOB_MSGPACK, JOB_JSON };

/* One predecessor and how it has to end. */
struct job_dep {
	const char *id;
	enum job_when when;
};

struct job_pair {
	const char *key;
	const char *value;
};

/* What a message brought besides its body; NULL (or length 0) where it had none. Borrowed by job_decode for the call.
 */
struct job_message {
	const char *body;
	size_t body_len;
	const char *content_type;     /* NULL: none */
	const char *content_encoding; /* NULL: none; any other is refused */
	const char *message_id;       /* stands for a missing id */
	const char *reply_to;
	const char *correlation_id;
	size_t correlation_len;
	const char *pool;     /* of the queue it came by; the default where the job names none */
	const char *priority; /* likewise */
	const char *user;     /* who published it, as the broker vouches; the job's user */
};

/* What bounds a job: the names of the fleet's priorities (highest first), the largest body, the prefix (a `reply_to`
 * that names a queue of the fleet's own is refused). `job_limits_default` fills in the contract's values. */
struct job_limits {
	const char *const *priorities;
	size_t priority_count;
	size_t max_body; /* bytes, inclusive */
	const char *prefix;
};

extern const struct job_limits job_limits_default; /* high normal low, 1 MiB, "flotilla" */

#define JOB_USER_FIELD "x-flotilla-user"

/* Text members are NUL-terminated, or NULL where absent. `dedup` is as Redis has it: a user's keys are its own.
 * Integers are -1 where absent. */
struct job {
	const char *id; /* NULL: the client gave none; job_make_id makes one */
	const char *task;
	const char *pool;
	const char *priority;
	const char *dedup;
	const char *run;
	const char *user; /* who published it; absent: the fleet's own people, or nobody says */
	bool reuse;
	struct job_dep *after; /* each predecessor once */
	size_t after_count;
	const char **argv; /* NULL-terminated; NULL where absent */
	size_t argc;
	struct job_pair *env;
	size_t env_count;
	struct job_pair *labels;
	size_t label_count;
	bool has_args;
	msgpack_object args; /* nil where absent */
	int64_t retries, backoff_ms, backoff_max_ms, timeout_ms, delay_ms, run_at, expires_at, keep_s;

	const char *reply_to;
	const char *correlation_id; /* may hold NULs: see correlation_len */
	size_t correlation_len;
	enum job_encoding encoding; /* how it came, and how it is answered */
	/* The pool by whose queue it came, where that is another than its own; set by whoever admits it, NULL after
	 * decoding, borrowed. */
	const char *via;

	const char *spec; /* the body as MessagePack: as it came, or transcoded from JSON with every field kept; and who
			     published it, as the field JOB_USER_FIELD, which no message may bring */
	size_t spec_len;

	void *arena; /* job_release's business */
};

/* Whether a body is small enough to be looked at; job_decode asks as well. ERR_INPUT. */
int job_check_size(size_t body_len, const struct job_limits *limits, struct err *err);

/* Decodes one message. On success fills `ret` (which need not be initialised) and returns 0. On failure `ret` is
 * untouched, `err` says what is wrong with which field, for the x-flotilla-reason header, and the code is ERR_INPUT.
 * All strings are copied: the message may go at once. */
int job_decode(struct job *ret, const struct job_message *message, const struct job_limits *limits, struct err *err);

/* Decodes a stored spec: `id`, `pool` and `priority` come from the job's record. The same checks. */
int job_decode_spec(struct job *ret, const char *spec, size_t len, const char *id, const char *pool,
		    const char *priority, const struct job_limits *limits, struct err *err);

/* Frees what a decoded job holds, and zeroes it; a zeroed job is fine. */
void job_release(struct job *job);

/* Gives a job that has none an id of 26 characters: time, then chance, in Crockford's base 32 (as ULIDs are made), so
 * that ids sort by age. The id is the job's. */
void job_make_id(struct job *job);

/* From a message that is no job, what can still be had of its `id` to answer it with: NULL, or the caller's to free().
 */
char *job_guess_id(const struct job_message *message);

/* Checks of names; false where the contract forbids them. */
bool job_id_valid(const char *id, size_t len);
bool job_pool_valid(const char *pool, size_t len);

#endif
