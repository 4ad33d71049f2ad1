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
	struct fleet_taker taker;
	size_t busy, resolving;
	struct fleet_pause *paused, *last_paused; /* in the order they came */
	struct crowd *crowds;
	struct answer *answers; /* replies.c: under way */
};

#define FLEET_BATCH 100
#define FLEET_BATCH_TEXT "100"
/* So many entries of a hash go into one script, or come out of one call: some tenths of a millisecond of Redis. */
#define FLEET_ENTRIES 500

/* room.c: an end that has dependents by the thousand makes invitations faster than the broker confirms them. So many
 * may be under way, those included that a resolve which is not answered yet may bring; who would begin more waits. */
#define FLEET_INVITATIONS 2000
struct fleet_pause {
	struct fleet_pause *next;
	void (*go_on)(void *data);
	void *data;
};
/* Calls `go_on` at once, or when there is room again; `pause` is the caller's until then. */
void fleet_when_room(struct fleet *fleet, struct fleet_pause *pause, void (*go_on)(void *data), void *data);
/* Some of what was under way is done; a message has come to its end. */
void fleet_room(struct fleet *fleet);
void fleet_published(struct fleet *fleet, enum publish_outcome outcome);

/* crowd.c: who is told an end now. Joined before a resolve is sent, left when it is answered, with how many Redis said
 * that the job still waits for (0: none, or it did not say). */
struct crowd;
struct crowd *fleet_crowd_join(struct fleet *fleet, const char *id);
void fleet_crowd_leave(struct fleet *fleet, struct crowd *crowd, int64_t left);
/* It will still wait for others when it has been told all that is under way. */
bool fleet_crowd_waits(const struct crowd *crowd);

/* ending.c: how a predecessor ended, in the words that resolve.lua takes. */
struct fleet_end {
	const char *state, *epoch, *reason, *error, *exit_code, *result;
};
/* `claim` NULL: if the child becomes ready it is for others. */
void fleet_resolve(struct fleet *fleet, const char *child, const char *run, const char *from,
		   const struct fleet_end *end, const struct fleet_claim *claim, store_done *done, void *data);
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
