/* `flotilla doctor`: looks at all that both stores hold, names what does not fit, and mends what can be mended safely.
 *
 * The fleet may run meanwhile, so no look is of one instant, and a finding counts only where a second look, some time
 * later, finds the same with the same signature (state, attempt, epoch …): what was only on its way has moved on by
 * then. A few kinds take more patience (`kind_patient`). Each repair is a script that checks the state again before it
 * writes, or a flow that workers use themselves; then a last look says what is gone.
 *
 * Memory: jobs are read a batch at a time; what grows with the fleet is 16 bytes a job (which were seen already), and
 * the edges between waiting jobs (for cycles).
 *
 *   doctor.c    the order of it all                 check_job.c, check_index.c, check_waiting.c    one job
 *   findings.c  what was found                      check_dedup.c, check_run.c, check_fleet.c, check_redis.c
 *   survey.c    all that there is to look at        check_queue.c, messages.c                      RabbitMQ
 *   view.c      one job as Redis holds it           mend.c, mend_more.c                            repairs
 */
#ifndef FLOTILLA_PRODUCER_DOCTOR_DOCTOR_H
#define FLOTILLA_PRODUCER_DOCTOR_DOCTOR_H

#include <uthash.h>

#include "cycle.h"
#include "doctor/kinds.h"
#include "job/state.h"
#include "session.h"
#include "workers.h"

/* --- findings ------------------------------------------------------------------------------------------------------
 */

struct finding {
	UT_hash_handle hh;
	enum doctor_kind kind;
	char *id;   /* of the job, the key, the run … */
	char *sign; /* what has to be the same at the next look; some repairs read it */
	char *words;
	char *did; /* what a repair said; NULL: none was tried */
	bool mended;
	char key[]; /* kind, id and sign */
};

/* Each thing once, in the order it was found. At most FINDINGS_MAX of a kind are kept; the rest is counted. */
#define FINDINGS_MAX 10000
struct findings {
	struct finding *all;
	size_t kept[KIND_COUNT], beyond[KIND_COUNT];
};
void findings_release(struct findings *findings);
/* Adds one; `sign` and `id` are copied, words follow. */
void found(struct findings *findings, enum doctor_kind kind, const char *id, const char *sign, const char *format, ...)
	__attribute__((format(printf, 5, 6)));
struct finding *findings_same(const struct findings *in, const struct finding *as);
void finding_drop(struct findings *findings, struct finding *finding);
/* Drops what `seen` does not have as well, of the kinds that `of` says. */
void findings_retain(struct findings *findings, const struct findings *seen, bool (*of)(enum doctor_kind kind));
size_t findings_of_level(const struct findings *findings, enum doctor_level level);

const char *kind_name(enum doctor_kind kind);
const char *kind_hint(enum doctor_kind kind);
enum doctor_level kind_level(enum doctor_kind kind);
const char *level_name(enum doctor_level level);
enum doctor_family kind_family(enum doctor_kind kind);
/* What may look the same for a second or two without being wrong. */
bool kind_patient(enum doctor_kind kind);

/* --- the doctor ----------------------------------------------------------------------------------------------------
 */

/* Numbers seen before, by 64 bits of their hash. */
struct seen {
	uint64_t *slots;
	size_t count, room;
};
bool seen_add(struct seen *seen, const char *text); /* false where it was there */
void seen_release(struct seen *seen);

/* Jobs queued for one pool and priority, and the messages that there are for them. */
struct queued {
	UT_hash_handle hh;
	char *pool, *priority;
	int64_t jobs;            /* queued */
	int64_t unowed;          /* of these, at the last look: neither in the outbox nor in scheduled */
	int64_t messages;        /* ready; -1: there is no such queue; -2: not looked */
	int64_t held, consumers; /* what the pool's live workers hold; consumers of the queue */
	int64_t most;            /* messages and held jobs, at most, at any look */
	char key[];
};

struct doctor_options {
	bool repair;
	int64_t messages; /* how many of each queue to look into; 0: none */
	void (*progress)(void *data, const char *what, int64_t done, int64_t total);
	void *data;
};

struct expect;
struct doctor {
	struct session *session;
	const struct doctor_options *options;
	bool survey; /* the first look: it gathers what follows */
	struct queued *queued;
	struct cycles cycles;
	int64_t ended[JOB_STATE_COUNT]; /* jobs that have ended and are kept */
	int64_t jobs, runs, keys;
	struct seen seen;
	struct workers workers;  /* as of the present look */
	struct findings removed; /* invitations to nobody that a repair took away */
	struct expect *expected;
	size_t open;
};

/* Looks, looks again, mends, looks a last time. `ret` has what was found. */
int doctor_run(struct doctor *doctor, struct findings *ret, struct err *err);
void doctor_release(struct doctor *doctor);

/* --- asking --------------------------------------------------------------------------------------------------------
 */

/* Sends a command; its answer (a copy, the caller's) is in *ret once doctor_wait has returned 0. */
#define doctor_ask(doctor, ret, ...)                                                                                   \
	store_format((doctor)->session->store, doctor_answered, doctor_expect(doctor, ret), __VA_ARGS__)
struct expect *doctor_expect(struct doctor *doctor, struct store_reply **ret);
void doctor_answered(void *data, const struct store_reply *reply); /* `data` is what doctor_expect returned */
int doctor_wait(struct doctor *doctor, struct err *err);
/* One question; NULL where Redis is away, or the answer is an error. The caller frees. */
#define doctor_one(doctor, err, ...)                                                                                   \
	doctor_checked(store_sync((doctor)->session->store, SESSION_ANSWER_MS, err, __VA_ARGS__), err)
struct store_reply *doctor_checked(struct store_reply *reply, struct err *err);

/* --- looks: each adds what it finds --------------------------------------------------------------------------------
 */

int survey_all(struct doctor *doctor, struct findings *into, struct err *err);
int look_jobs(struct doctor *doctor, const struct ids *ids, struct findings *into, struct err *err);
int look_dedup(struct doctor *doctor, const struct ids *names, struct findings *into, struct err *err);
int look_runs(struct doctor *doctor, const struct ids *runs, struct findings *into, struct err *err);
int look_fleet(struct doctor *doctor, struct findings *into, struct err *err);
int look_redis(struct doctor *doctor, struct findings *into, struct err *err);
int look_queues(struct doctor *doctor, struct findings *into, struct err *err);
int look_messages(struct doctor *doctor, bool remove, struct findings *into, struct err *err);

/* --- one job -------------------------------------------------------------------------------------------------------
 */

enum view_field {
	VIEW_STATE,
	VIEW_RUN,
	VIEW_POOL,
	VIEW_PRIORITY,
	VIEW_ATTEMPT,
	VIEW_EPOCH,
	VIEW_PENDING,
	VIEW_DUE_AT,
	VIEW_EXPIRES_AT,
	VIEW_ENDED_AT,
	VIEW_TOKEN,
	VIEW_WORKER,
	VIEW_DEDUP,
	VIEW_DUPLICATE_OF,
	VIEW_TASK,
	VIEW_QUEUED_AT,
};
/* In the order of examine.lua. */
enum view_key {
	HAS_JOB,
	HAS_SPEC,
	HAS_RESULT,
	HAS_OUTPUT,
	HAS_WAITING,
	HAS_DEPENDENTS,
	HAS_REPLIES,
	HAS_RUN,
	HAS_RUN_JOBS
};
enum view_index { IN_LEASES, IN_SCHEDULED, IN_EXPIRING, IN_OUTBOX, IN_SETTLING, IN_REPLIES, VIEW_INDICES };

struct view {
	const char *id;
	struct store_reply *reply; /* of examine.lua */
	struct store_reply *more;  /* `waiting`, where it is large; or NULL */
	int64_t now_ms;
	int64_t lease_ms; /* of its worker, as far as that is known */
	int state;        /* enum job_state, -1: none, or not a state */
	bool live, ended;
	char sign[96]; /* state, attempt, epoch */
};

const char *view_text(const struct view *view, enum view_field field); /* "" where there is none */
int64_t view_int(const struct view *view, enum view_field field);
/* When the key goes: Unix ms, -1 never, -2 it is not there. */
int64_t view_goes(const struct view *view, enum view_key key);
/* The time under which an index lists the job; -1: it does not. */
int64_t view_listed(const struct view *view, enum view_index index);
int64_t view_entries(const struct view *view); /* of `waiting` */
bool view_guarded(const struct view *view);
int64_t view_replies(const struct view *view);
int64_t view_dependents(const struct view *view);
bool view_member(const struct view *view);
/* `waiting`: predecessor, when, … */
const struct store_reply *view_waiting(const struct view *view);

/* The lease of that worker; of one that Redis does not know, the longest there is. */
int64_t lease_of(const struct doctor *doctor, const char *name);
/* Reads `count` jobs; each view is released by the caller. */
int views_read(struct doctor *doctor, const char *const *ids, size_t count, struct view *ret, struct err *err);
void view_release(struct view *view);

/* Pure: what one view tells. */
void check_record(const struct view *view, struct findings *into);
void check_indices(const struct view *view, struct findings *into);
/* Reads the predecessors of those that wait. */
int check_waiting(struct doctor *doctor, const struct view *views, size_t count, struct findings *into,
		  struct err *err);
int check_placeholders(struct doctor *doctor, const struct view *views, size_t count, struct findings *into,
		       struct err *err);
int check_keys_held(struct doctor *doctor, const struct view *views, size_t count, struct findings *into,
		    struct err *err);

struct queued *queued_of(struct doctor *doctor, const char *pool, const char *priority);

/* --- repairs: start it; the flow ends by session_finish --------------------------------------------------------------
 */

typedef void mend_start(struct doctor *doctor, struct finding *finding, int round);
mend_start *kind_mend(enum doctor_kind kind);
#define MEND_ROUNDS 3
mend_start mend_job, mend_resume, mend_resume_listed, mend_again, mend_not_told, mend_lose, mend_due, mend_expire,
	mend_owe, mend_replies, mend_dedup_release, mend_dedup_take, mend_dedup_of_job, mend_run, mend_member,
	mend_stats, mend_worker, mend_caretaker, mend_topology, mend_invitations;
/* What was done, in words; more than one are parted by commas. */
void mend_did(struct finding *finding, const char *words);

#endif
