/* The life of a job beyond one script: registration, ends told to dependents, replies, retries. Every flow here is a
 * row of idempotent transitions (shared/store/lua); whoever dies in the middle leaves an entry in `settling`, `outbox`
 * or `replies`, from which fleet_resume, fleet_invite and fleet_reply finish what was begun (the caretaker calls them).
 *
 * Used by the worker and the command alike. Loop's thread; nothing blocks; flows end by themselves, fleet_busy says how
 * many are under way.
 */
#ifndef FLOTILLA_FLEET_FLEET_H
#define FLOTILLA_FLEET_FLEET_H

#include "broker/publisher.h"
#include "job/job.h"
#include "store/store.h"

struct fleet;

/* What a claim says of the worker that makes it (claim.lua). */
struct fleet_claim {
	const char *token, *worker, *lease_ms, *pool;
	const char *tasks;   /* ",a,b," */
	const char *demands; /* "1": signed jobs only; "" */
};

/* A worker may begin a job that becomes ready while it tells its predecessor's end, there and then, with no trip
 * through the broker. All are called with `data`. */
struct fleet_taker {
	/* A free place for one job, and the claim that it would make; NULL where there is none. */
	void *(*reserve)(void *data, struct fleet_claim *ret);
	/* The place is not needed. */
	void (*release)(void *data, void *place);
	/* The job is claimed for the place; `reply` is that of claim.lua. */
	void (*begin)(void *data, void *place, const char *id, const struct store_reply *reply);
	void *data;
};

struct fleet_options {
	struct store *store;
	struct publisher *publisher; /* NULL: nothing is invited; the outbox keeps what is owed for the caretaker */
	const struct job_limits *limits;
	struct fleet_taker taker; /* zeroed: nothing is begun here */
};

struct fleet *fleet_new(const struct fleet_options *options);
/* No flow may be under way, or none may come to an end any more (its store is closed). */
void fleet_free(struct fleet *fleet);
/* How many flows are under way, invitations and replies not confirmed yet among them. */
size_t fleet_busy(const struct fleet *fleet);
/* Whether more may be begun that ends in messages: false while thousands wait for the broker to confirm them. */
bool fleet_has_room(const struct fleet *fleet);
/* Goes on with flows that waited for room. To be called now and then where others use the publisher, too: what they
 * sent takes room, and is told to them when it is done. */
void fleet_tick(struct fleet *fleet);

/* What became of an admission. `state` is a state's name, or "" where an error says why not. */
struct fleet_admission {
	bool known;        /* the id was there before: nothing new was registered */
	const char *state; /* of the job now, as far as this flow knows */
	const char *error; /* NULL, or what Redis said */
	bool foreign;      /* the error: its id, or its run, is another user's */
};
typedef void fleet_admitted(void *data, const struct fleet_admission *admission);

/* Registers a job: record, dedup key, predecessors, guard. With `owe` a job that is ready gets an invitation, published
 * before the flow ends; without, it came in a message that the caller will claim or acknowledge. `done` is called when
 * the job is registered. The job must have an id and may be released as soon as this returns. */
void fleet_admit(struct fleet *fleet, const struct job *job, bool owe, fleet_admitted *done, void *data);

/* What admit.lua and start.lua are told of a job alike. Zeroed, filled, used for a call, released. */
struct fleet_admit_text {
	struct store_arg keep, retries, labels, reply, encoding;
	struct buf labels_buf, reply_buf;
	char numbers[2][24];
};
void fleet_admit_args(const struct job *job, struct fleet_admit_text *text);
void fleet_admit_release(struct fleet_admit_text *text);

/* Goes on from a script's answer: where it says that the job has ended, its dependents are told, its dedup key is
 * released, its replies are published; where it says that it is queued again, it is invited. False where the answer is
 * neither. */
bool fleet_follow(struct fleet *fleet, const char *id, const char *run, const struct store_reply *reply);

/* Finishes what `settling` lists for a job: a registration or an end, whichever it is. `done` may be NULL. */
void fleet_resume(struct fleet *fleet, const char *id, void (*done)(void *data), void *data);

/* Publishes an invitation; when it is confirmed the outbox entry's time moves on by five minutes (invited.lua), unless
 * the job has been queued again since `queued_at`, as its record had it. */
void fleet_invite(struct fleet *fleet, const char *id, const char *pool, const char *priority, const char *task,
		  const char *queued_at);
/* That move, where somebody else has published it. */
void fleet_invited(struct fleet *fleet, const char *id, const char *queued_at);
/* Publishes the replies that a job that has ended owes. */
void fleet_reply(struct fleet *fleet, const char *id);
/* The same where they have been owed for long; not those that this process is publishing already. */
void fleet_reply_overdue(struct fleet *fleet, const char *id);

/* cancel and retry. `done` gets the script's answer: its first word says what became of it (cancel.lua, retry.lua); it
 * is NULL where the flow could not go on. After a retry that was taken, the flow goes on until the job and what it
 * revived are registered again (fleet_busy). */
void fleet_cancel(struct fleet *fleet, const char *id, store_done *done, void *data);
void fleet_retry(struct fleet *fleet, const char *id, store_done *done, void *data);

#endif
