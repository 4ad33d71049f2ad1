/* Why a job was skipped: down the chain of predecessors to the one that did not end as asked. */
#ifndef FLOTILLA_PRODUCER_CAUSE_H
#define FLOTILLA_PRODUCER_CAUSE_H

#include "session.h"

/* One step of the chain: `id` ended as `state`, and `when` was asked of it. */
struct cause_step {
	char *id, *state, *when;
};

struct cause {
	struct cause_step *steps; /* nearest first; the last one is the root */
	size_t count;
};

/* Reads the chain of a skipped job. Without steps: what it waited for is kept no more. */
int cause_find(struct session *session, const char *id, struct cause *ret, struct err *err);
void cause_release(struct cause *cause);
/* The job whose retry would bring the skipped one back, or NULL. */
const char *cause_to_retry(const struct cause *cause);

/* "succeeded@3" as written in `waiting`: the word's length. */
size_t when_length(const char *when);

#endif
