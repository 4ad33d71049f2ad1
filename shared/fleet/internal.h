/* What the files of this room share. Not for others. */
#ifndef FLOTILLA_FLEET_INTERNAL_H
#define FLOTILLA_FLEET_INTERNAL_H

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "fleet/fleet.h"

struct fleet {
	struct store *store;
	struct publisher *publisher;
	const struct job_limits *limits;
	size_t busy;
};

#define FLEET_BATCH 100
#define FLEET_BATCH_TEXT "100"

/* ending.c: how a predecessor ended, in the words that resolve.lua takes. */
struct fleet_end {
	const char *state, *epoch, *reason, *error, *exit_code, *result;
};
void fleet_resolve(struct fleet *fleet, const char *child, const char *run, const char *from,
		   const struct fleet_end *end, store_done *done, void *data);
/* Tells everybody of an end that `settling` lists. */
void fleet_tell(struct fleet *fleet, const char *id, const char *run, const char *state, const char *epoch,
		const char *dedup, const struct store_reply *children, size_t many, void (*done)(void *data),
		void *data);

/* register.c: the rest of a registration that stands in Redis half done, from its stored spec; `epoch` is the job's.
 * `revive`: the dependents that were skipped for it too. */
void fleet_register(struct fleet *fleet, const char *id, int64_t epoch, bool revive, void (*done)(void *data),
		    void *data);

/* revive.c: revives everybody who was skipped for `id`, and registers them again. */
void fleet_revive(struct fleet *fleet, const char *id, void (*done)(void *data), void *data);

/* A word of a script's answer. */
static inline bool fleet_says(const struct store_reply *reply, const char *word)
{
	return strcmp(store_text_at(reply, 0), word) == 0;
}

#endif
