/* One registration under way; what register.c, join.c and admit.c share. */
#ifndef FLOTILLA_FLEET_REGISTRATION_H
#define FLOTILLA_FLEET_REGISTRATION_H

#include "fleet/internal.h"

struct pred {
	char *id;
	const char *when;
};

struct registration {
	struct fleet *fleet;
	char *id, *run, *dedup, *holder; /* holder: the job that this one joins, NULL for none */
	char *tenure;                    /* of that one, with the key (dedup.lua) */
	char *stale, *stale_tenure;      /* a holder that was found ended or gone */
	int64_t epoch;                   /* of this job, as far as this flow knows */
	bool watched;                    /* the holder is to tell this job of its end */
	bool reuse, owe, revive, known, fresh, failed, foreign;
	uint64_t losses;            /* store_losses, when this flow began (again) */
	bool full;                  /* all predecessors stand in `waiting` */
	struct store_cursor cursor; /* of `waiting` */
	struct pred *preds;
	size_t count, next, open;
	fleet_admitted *admitted;
	void (*done)(void *data);
	void *data;
};

struct registration *registration_new(struct fleet *fleet, const char *id);
/* Tells whoever waits for it, and frees it. `error` may be NULL. */
void registration_end(struct registration *r, const char *state, const char *error);
/* Whether a step could not be done, for a reason that does not pass (then it is said), or Redis may have forgotten the
 * steps before. */
bool registration_failed(struct registration *r, const struct store_reply *reply);
/* What to do then: the registration stays as it is, listed in settling, for the caretaker to try again; or it begins
 * again from what is stored. */
void registration_give_up(struct registration *r);
/* Whether the job has ended already, as a script says at 1: {'late' or 'done', state}. Then its dedup key is released.
 */
bool registration_too_late(struct registration *r, const struct store_reply *reply);
void registration_add_pred(struct registration *r, const char *id, const char *when);
/* How many predecessors the first script writes. */
size_t registration_first(const struct registration *r);
/* Appends ids and conditions of `count` predecessors from `from` to `args`; says how many arguments. */
size_t registration_args(const struct registration *r, size_t from, size_t count, struct store_arg *args);
/* Takes over what a job says of its run, its dedup key and its predecessors. */
void registration_take_job(struct registration *r, const struct job *job);

/* The steps, each of which goes on to the next by itself. */
void registration_from_stored(struct registration *r); /* read the spec, then the key */
void registration_take_key(struct registration *r);    /* join.c: dedup, join */
void registration_watch_all(struct registration *r);   /* fill, revive, watch, resolve */
void registration_fill(struct registration *r);        /* fill.c, then on with watch_all */
void registration_watch(struct registration *r, const struct pred *pred, store_done *done, void *data);
void registration_take_guard_away(struct registration *r); /* register */

#endif
