/* Waiting for jobs: listens to the fleet's events, reads the records, and looks again now and then. */
#ifndef FLOTILLA_PRODUCER_FOLLOW_H
#define FLOTILLA_PRODUCER_FOLLOW_H

#include <uthash.h>

#include "session.h"

struct follow;

struct followed {
	UT_hash_handle hh;
	struct follow *follow;
	int state;   /* enum job_state; -1: nobody knows it (any more) */
	bool looked; /* `state` is known */
	bool asking;
	const char *id; /* borrowed */
};

struct follow {
	struct session *session;
	struct store_listener *listener;
	struct followed *jobs; /* by id, in the order given */
	size_t count, ended, looked, unknown;
	void (*on_end)(void *data, const struct followed *job); /* NULL: nobody wants to know */
	void *data;
};

/* Begins to follow; the ids must live as long. An id that is named twice is followed once. */
void follow_init(struct follow *follow, struct session *session, const char *const *ids, size_t count);
void follow_release(struct follow *follow);

struct follow_until {
	bool any, unknown_ok;
	int64_t timeout_ms; /* -1: none */
};
/* Runs the loop until all (or any) have ended. 0, ERR_NOT_FOUND (names the id), ERR_TIMEOUT, ERR_SERVICE. */
int follow_run(struct follow *follow, const struct follow_until *until, struct err *err);

/* EXIT_OK where the jobs that ended have all succeeded, else EXIT_NOT_SUCCEEDED. */
int follow_exit(const struct follow *follow);

/* Waits for one job, and says on standard error how it ended if it did not succeed. An exit code or an error. */
int follow_one(struct session *session, const char *id, struct err *err);

#endif
