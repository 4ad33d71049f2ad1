/* The worker: what its files share. One loop, one struct; each part below is one file.
 *
 *   connect.c    a session with the broker is made, on a thread of the pool
 *   intake.c     the session: what comes by it, losing it, making another
 *   consume.c    a consumer for each priority, and its prefetch
 *   acks.c       which deliveries may be acknowledged, and doing it in ranges
 *   signed.c     whether messages are signed, where that is demanded; the keys
 *   deliver.c    a delivery: an invitation, a job (admit), or no job (reject)
 *   schedule.c   which held job starts next: priority, aging, slots
 *   ahead.c      what is claimed before a slot is free, while jobs are short
 *   claim.c      claim, or admit and claim in one; what to do with each answer
 *   unknown.c    a task that this worker has no handler for
 *   attempt.c    an attempt under way: start, leases, cancel, settle
 *   pass.c       of that: an end, and what it makes of the one dependent
 *   report.c     what it says while it runs
 *   results.c    what its predecessors resulted in
 *   presence.c   the worker's record, and whether others are idle while jobs are held here
 *   caretaker.c  what dead processes left undone
 *   overdue.c    of that, invitations that are overdue
 *   drain.c      SIGTERM
 *   health.c     what the service manager hears: ready, well, stopping
 *   metrics.c    what is counted, over HTTP; metrics.h says which file does what
 *   undertaker.c kills what jobs left running when the worker is killed
 */
#ifndef FLOTILLA_CONSUMER_WORKER_H
#define FLOTILLA_CONSUMER_WORKER_H

#include <uthash.h>
#include <uv.h>

#include "base/keyring.h"
#include "base/log.h"
#include "broker/broker.h"
#include "broker/publisher.h"
#include "broker/topology.h"
#include "counts.h"
#include "exec/exec.h"
#include "fleet/fleet.h"
#include "job/job.h"
#include "metrics.h"
#include "notify.h"
#include "store/store.h"
#include "undertaker.h"

#define WORKER_LEVELS 16
#define WORKER_TOKEN 17 /* it is compared with those of the same job only */

struct worker_options {
	char *amqp_url, *redis_url, *prefix;
	struct tls_files tls;
	char *pool, *name, *handlers, *work_dir, *log_format, *priorities;
	int64_t slots, lease_ms, grace_ms, aging_ms, max_lost, keep_dirs_ms, retry_services_ms, max_body;
	int64_t max_timeout_ms; /* of an attempt; 0: none */
	bool allow_exec, verbose, require_signed, require_user;
	char *signing_keys; /* a file; NULL: none */
	char *replay_dir;
	char *job_user; /* NULL: the worker's own */
	char *metrics;  /* ADDR:PORT; NULL: none */
};

struct worker;

/* What an attempt said and Redis was not told yet. */
struct item_news {
	bool dir;
	char *progress, *tail;
	size_t tail_len;
};

/* A job here: brought by a delivery, held, claimed, running, settled. */
enum item_state { ITEM_ADMITTING, ITEM_HELD, ITEM_CLAIMING, ITEM_RUNNING, ITEM_SETTLING };

struct item {
	struct item *prev, *next; /* of worker.running, or of its level's held */
	struct worker *worker;
	enum item_state state;
	size_t level;
	uint64_t generation, tag; /* of the delivery; tag 0: none (any more) */
	struct job job;           /* zeroed for an invitation until the claim has brought the spec */
	bool decoded;
	bool instant; /* its task ends within the claim's answer, as far as its message says: it takes no slot */
	char *id;
	int64_t since;  /* monotonic ms: held, then running, since */
	int64_t queued; /* the same: queued since, as far as is known here */
	bool asked;     /* Redis has been asked since when it is queued */
	/* of the attempt */
	char token[WORKER_TOKEN];
	char number[24];
	int64_t attempt_no, failures;
	bool slot, stopped, lost, handing; /* handing: it is killed, to be handed back */
	bool gone;                         /* it is lost, since Redis does not know the job any more */
	bool renewing, reporting;          /* a call about it is unanswered */
	char *said;                        /* the progress in that report */
	char *dir;
	struct item_news news;
	struct attempt *attempt;
	/* pass.c */
	char *dependent; /* the one job that waited for it when it began; NULL: none, several, or not known */
	void *place;     /* where that is to begin (fleet_taker), while Redis is asked; NULL: nowhere */
	/* ahead.c */
	bool ahead;                  /* claimed, or being claimed, without a slot */
	bool parked;                 /* it only waits for one, in worker.ahead.ready */
	bool fresh;                  /* held, and not admitted: Redis does not know it yet */
	bool aged;                   /* it has been queued for so long that its level counts no more */
	bool slot_only;              /* it is claimed for a slot that is free only */
	size_t rank;                 /* while `ahead`: its level, or that of what is most urgent */
	uint64_t turn;               /* likewise: the how manieth it is */
	int64_t begun;               /* monotonic ms: it has run in its slot since; 0: not yet */
	char *results, *missing;     /* of its predecessors, while it waits */
	struct task_counts *counted; /* metrics_jobs.c: of its task; NULL: not looked for yet */
	struct item *ready_prev, *ready_next;
};

enum consume_state { CONSUME_OFF, CONSUME_ASKED, CONSUME_ON };

struct level {
	const char *name;
	char queue[TOPOLOGY_NAME_MAX];
	struct item *held; /* utlist, oldest first */
	size_t held_count;
	enum consume_state consume;
	uint16_t prefetch;
	char tag[40], old_tag[40]; /* old: being cancelled */
	int64_t asked_at;          /* an answer of the broker is awaited since; 0: none */
	int64_t muted_until;       /* its queue is left alone: intake.c */
	unsigned mute_tries;
	bool marked;              /* the queue had its mark (topology.h) when the session began */
	uint64_t delivered, seen; /* how many ever, and at the last look (watch.c) */
	unsigned dry;             /* looks in a row at which it should have been given something */
};

/* acks.c: deliveries of the present channel by tag; tags are handed out in order, so a ring serves. */
struct acks {
	uint64_t generation, first, next; /* [first, next) are outstanding */
	unsigned char *state;             /* ring */
	size_t size;
	uint64_t *done; /* tags finished since the last flush */
	size_t done_count, done_size;
};

/* A delivery whose outcome Redis has answered but may not have on disk yet (appendfsync not always). */
struct late_ack {
	struct late_ack *next;
	uint64_t generation, tag;
	int64_t due;
};

struct intake {
	struct broker *broker;
	uv_poll_t *poll;
	bool connecting, polling, more;
	bool rescuing;           /* what is unrouted is being moved */
	int64_t unrouted_at;     /* when that is to be done again; 0: it is not */
	unsigned unrouted_tries; /* in vain, one after the other */
	uint64_t generation;
	unsigned tries;
	int64_t next_try, down_since;
	struct acks acks;
	struct late_ack *late, *late_last;
	int64_t started; /* jobs begun, and messages that came to none, since the last look: for the prefetch */
	int64_t looked_at, watched_at, again_at, idle_until;
	bool again;     /* a new session is wanted */
	bool told;      /* the others know of the queue for which the last session was given up */
	double rate;    /* of these, a second */
	unsigned quiet; /* looks in a row that found none */
	unsigned tags;
};

struct ahead {
	struct item *ready;          /* utlist, by rank, oldest first */
	size_t count[WORKER_LEVELS]; /* items that are `ahead`, by rank */
	uint64_t turns;              /* how many ever were */
	size_t stuck;                /* slots whose jobs have run for long, at the last tick */
	double mean_ms;              /* that jobs took in their slots, of late; 0: not known */
	double longest_ms;           /* likewise, and forgotten slowly */
};

/* health.c; times are monotonic ms, 0: never. */
struct health {
	struct notify notify;
	bool ready, stopping; /* that has been told */
	int64_t answered_at;  /* Redis answered a sign of life */
	int64_t served_at;    /* all was well */
	int64_t fed_at, extended_at, status_at;
	char status[200]; /* as it was told */
};

struct worker {
	struct worker_options options;
	struct job_limits limits;
	const char *priority_names[WORKER_LEVELS];
	uv_loop_t *loop;
	struct undertaker undertaker;
	struct store *store;
	struct publisher *publisher;
	struct fleet *fleet;
	struct executor *executor;
	struct keyring *keyring;   /* NULL: no keys */
	int64_t keyring_looked_at; /* monotonic ms */
	struct store_listener *listener;
	struct level levels[WORKER_LEVELS];
	size_t level_count;
	struct intake intake;
	struct ahead ahead;
	struct item *running; /* claimed and not settled */
	size_t running_count; /* slots taken */
	size_t items;         /* all there are */
	unsigned starts;      /* for aging: every tenth */
	char *tasks;          /* ",exec,noop," for the claim */
	char lease_text[24], version[32];
	uv_prepare_t prepare;
	uv_idle_t idle;
	uv_timer_t tick, lease_timer, presence_timer, caretaker_timer, grace_timer;
	uv_signal_t sigterm, sigint;
	bool dirty;              /* the schedule is to be looked at in this turn */
	struct handing *handing; /* presence.c: held jobs on their way to other workers */
	bool yielding;           /* consuming stopped: others are idle, what is held goes to them */
	size_t idle_others;      /* workers of the pool with free slots, at the last beat that was answered */
	char instance[17];       /* this process, where two have one name */
	bool named;              /* the name is this process' own: it consumes */
	int64_t other_beat;      /* when another with the name was heard first, by Redis' clock; 0: none */
	bool draining, finished;
	bool said_goodbye;  /* draining has come to its end, and the record is being struck off */
	bool left;          /* it is */
	int64_t idle_since; /* draining, with nothing running */
	int exit_code;
	int64_t store_down_since, publisher_down_since;
	int64_t redis_ahead_ms; /* Redis' clock less the monotonic one of this machine; 0: not known yet */
	char *crowded;          /* pass.c: the dependent that was last found to wait for others as well */
	struct caretaker *caretaker;
	struct asked_queue *asked_queues; /* overdue.c: by name */
	struct health health;
	struct counts counts;
	struct metrics *metrics; /* NULL: nobody asks */
};

/* connect.c: ends in intake_adopt or intake_lost */
void intake_connect(struct worker *worker);
int intake_heartbeat_s(const struct worker_options *options);
/* Every 100 ms: moves what is unrouted, where connecting did not come to the end of it. */
void unrouted_tick(struct worker *worker);

/* intake.c */
void intake_adopt(struct worker *worker, struct broker *broker);
void intake_start(struct worker *worker);
void intake_tick(struct worker *worker); /* every 100 ms */
void intake_close(struct worker *worker);
void intake_lost(struct worker *worker, const struct err *err);
/* Begins a new session, so that what is unacknowledged comes again; not more often than every ten seconds. */
void intake_again(struct worker *worker, const char *why);
/* A new session at once, without a word: nothing is wrong. */
void intake_replace(struct worker *worker);
void intake_read_more(struct worker *worker);
/* Like intake_lost; `text` may be empty. */
void intake_failed(struct worker *worker, const char *what, const char *text);

/* consume.c. They may lose the session. */
void intake_consume(struct worker *worker); /* on all levels, where it does not yet */
void intake_stop_consuming(struct worker *worker);
bool intake_consuming(const struct worker *worker);
void consume_measure(struct worker *worker); /* every 100 ms: at which rate deliveries are dealt with */
void consume_check(struct worker *worker);   /* likewise: whether queues have answered */
void consume_answered(struct worker *worker, const char *tag);
/* The level that a delivery came by; level_count: none, it is what the broker gave up on. */
size_t consume_level(struct worker *worker, const char *tag);

/* watch.c: every 100 ms; whether the broker still knows this worker's consumers */
void watch_tick(struct worker *worker);
/* A session has begun, or a message came by it. */
void watch_delivered(struct worker *worker);
/* Tells the other workers of the pool that a queue was deleted. They hear WATCH_AGAIN and the pool on their channels.
 */
void watch_tell(struct worker *worker);
#define WATCH_AGAIN "again\x1f"

/* acks.c */
void acks_reset(struct acks *acks, uint64_t generation);
void acks_release(struct acks *acks);
void acks_delivered(struct acks *acks, uint64_t tag);
/* Marks an item's delivery as finished, and forgets it in the item. Nothing where its channel is gone. */
void acks_item(struct item *item);
/* Like acks_item, once what Redis answered is on disk. */
void acks_item_durable(struct item *item);
/* The same for one whose attempt is over here; `gone`: Redis does not know the job any more, so its message has to come
 * again. */
void acks_item_ran(struct item *item, bool gone);
void acks_tag(struct worker *worker, uint64_t generation, uint64_t tag);
void acks_tick(struct worker *worker);
/* Drops the acknowledgements that wait for Redis' disk. */
void acks_forget_late(struct worker *worker);
/* Sends what can be acknowledged; once a turn. `all`: it is not to wait for more. */
void acks_flush(struct worker *worker, bool all);

/* signed.c. signed_open: ERR_INPUT where the keys cannot be read, ERR_USAGE where there have to be some. */
int signed_open(struct worker *worker, struct err *err);
void signed_tick(struct worker *worker); /* every 100 ms: takes the keys of a file that has changed */
/* Whether a message that came by a queue of `level` may become a job here: 0, or ERR_INPUT with the reason. */
int signed_check(struct worker *worker, size_t level, const struct broker_message *message, struct err *err);
/* The same of the job that it became; where it is for another pool, that is noted in it. */
int signed_check_job(struct item *item, struct err *err);
/* What claims say of it: "1" where signed jobs only are taken, else "". */
const char *signed_demand(const struct worker *worker);

/* deliver.c */
void deliver(struct worker *worker, size_t level, const struct broker_event *event);
void deliver_returned(struct worker *worker, const struct broker_event *event);
/* Admits a job that a message brought; from the beginning again where Redis has lost what it knew of it. */
void deliver_admit(struct item *item);
/* Parks a job that Redis would not take for a reason that does not pass; frees the item. */
void deliver_refused(struct item *item, const char *reason);
/* Publishes a message to PREFIX.rejected with the reason, answers its reply_to, then acknowledges it. */
void reject(struct worker *worker, const struct broker_event *event, const char *from, const char *reason);

/* schedule.c */
struct item *item_new(struct worker *worker, size_t level, uint64_t generation, uint64_t tag, const char *id);
void item_free(struct item *item);
/* What a line of the log about it carries; borrowed from the item. */
struct log_job item_log(const struct item *item);
void item_forget_news(struct item *item);
void schedule_hold(struct item *item);
void schedule_unhold(struct item *item);
/* Since when Redis says that it is queued; 0: it does not say. */
void schedule_queued_at(struct item *item, int64_t queued_at);
void schedule_run(struct worker *worker);
/* Every 100 ms: what is held and not admitted, and has not begun soon, is admitted. */
void schedule_tick(struct worker *worker);
size_t schedule_held(const struct worker *worker);
size_t schedule_free_slots(const struct worker *worker);

/* ahead.c. ahead_low: it is time to claim some, up to where ahead_room says no; both for one of `rank`, before which
 * those of a lower rank wait. WORKER_LEVELS: of any. */
bool ahead_low(const struct worker *worker, size_t rank);
bool ahead_room(const struct worker *worker, size_t rank);
size_t ahead_count(const struct worker *worker);
size_t ahead_rank(const struct item *item);
/* Whether a slot that is free now is the item's, not one's that waits for it. */
bool ahead_goes_first(const struct item *item);
/* Whether jobs are so short that what is held now has begun before it is worth being admitted by itself. */
bool ahead_soon(const struct worker *worker);
/* Whether no slot is likely to come free soon. */
bool ahead_stuck(const struct worker *worker);
void ahead_learn(struct worker *worker, int64_t took_ms);
void ahead_take(struct item *item);
void ahead_give_back(struct item *item);
/* All that the attempt lacks is a slot; the texts are copied. ahead_leave: it waits no more. */
void ahead_wait(struct item *item, const char *results, const char *missing);
void ahead_leave(struct item *item);
void ahead_forget_results(struct item *item);
/* Those that wait since `than` or before go back to the queue; returns how many. */
size_t ahead_hand_back(struct worker *worker, int64_t than, size_t most);
void ahead_tick(struct worker *worker);

/* claim.c */
void claim_item(struct item *item);
/* admit and claim in one, for a job that can start at once, or is held as `fresh` since it soon can; false where it has
 * to be admitted first. claim_fresh: it has a place now. */
bool claim_start(struct item *item);
void claim_fresh(struct item *item);
/* It does not run here (any more): its slot is free. claim_drop: its delivery has served, too, and it is freed.
 * claim_refused: Redis will not have it, for a reason that does not pass. */
void claim_give_back(struct item *item);
void claim_drop(struct item *item);
void claim_refused(struct item *item, const char *error);
/* For the fleet: what becomes ready here can be begun here, while a slot is free and nothing else is held. */
struct fleet_taker claim_taker(struct worker *worker);

/* unknown.c: its task is not known here, as the claim was told; the item is freed in the end. */
void unknown_task(struct item *item, const char *task);

/* attempt.c */
void attempt_begin(struct item *item); /* claimed: run it */
void attempt_go_on(struct item *item); /* it was parked, and has a slot now */
/* All is there that it needs (JSON texts, or NULL), but perhaps a slot: then it is parked. */
void attempt_start(struct item *item, const char *results, const char *missing);
void attempt_settle_refused(struct item *item, enum job_reason reason, const char *error);
/* What Redis answered to its outcome; frees the item. */
void attempt_settled(void *data, const struct store_reply *reply);
const char *attempt_progress(const struct item *item); /* what it said last; "" where Redis knows it */
void attempt_renew_all(struct worker *worker);
void attempt_cancel(struct worker *worker, const char *id);
void attempt_tick(struct worker *worker);
/* For an answer that comes behind the item's back: it is found again by its token. attempt_asked frees; NULL where the
 * item is gone. */
struct asked *attempt_ask(const struct item *item);
struct item *attempt_asked(struct asked *asked);

/* report.c: what the executor says, and telling Redis of it. One report of an item is under way at a time. */
void report_started(void *data, const char *dir);
void report_output(void *data, const char *tail, size_t len);
void report_progress(void *data, const char *text);
void report_news(struct item *item);

/* pass.c: settles a success, and tells its one dependent in the same call; false where none is known, and the
 * caller has to settle. */
bool pass_on(struct item *item, const struct outcome *outcome, const char *result);

/* results.c: ends in attempt_start */
void results_gather(struct item *item);

/* presence.c */
void presence_start(struct worker *worker);
void presence_tick(struct worker *worker); /* every 100 ms */
void presence_leave(struct worker *worker, store_done *done);
void handback_held(struct item *item);

/* caretaker.c */
void caretaker_start(struct worker *worker);
void caretaker_stop(struct worker *worker);
bool caretaker_has_role(const struct worker *worker);
/* What has been looked at is not overdue again before `until` (Redis' clock), however long ago it was owed: what cannot
 * be done now must not hide what lies behind it. */
void caretaker_put_off(struct worker *worker, enum store_key key, const char *id, int64_t until);

/* overdue.c: looks at what the outbox lists as overdue (ids and times), and invites again where that is needed */
void overdue_sweep(struct worker *worker, const struct store_reply *entries, int64_t redis_now);

/* drain.c */
void drain_begin(struct worker *worker, int signal);
void drain_look(struct worker *worker);
void drain_hand_back(struct item *item);

/* health.c */
void health_open(struct worker *worker); /* before there are threads */
void health_tick(struct worker *worker); /* every 100 ms */
void health_close(struct worker *worker);
/* Whether it serves: it consumes, or its intake is full, and Redis answers its signs of life, which are renewed on the
 * same condition. `why` says what is in the way, else it is empty. */
bool health_ready(const struct worker *worker, char *why, size_t size);

/* worker.c */
int worker_run(const struct worker_options *options);
/* The name is this process' own: it begins to consume. */
void worker_begin(struct worker *worker);
void worker_fail(struct worker *worker, int exit_code);

#endif
