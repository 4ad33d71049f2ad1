/* What the doctor can find. A kind's name is stable: scripts and alarms may rely on it. docs/doctor.md has the same
 * table in words.
 *
 * To add one: a row here, a call of `found` in the check of its family, a row in docs/doctor.md, and a test that
 * damages the stores so (tests/integration/test_doctor.py).
 */
#ifndef FLOTILLA_PRODUCER_DOCTOR_KINDS_H
#define FLOTILLA_PRODUCER_DOCTOR_KINDS_H

#include "access/access.h"

/* Damage: the stores contradict each other or themselves. Warning: nothing is wrong yet, or somebody has to look. Note:
 * as it should be, but good to know; it does not count. */
enum doctor_level { LEVEL_DAMAGE, LEVEL_WARNING, LEVEL_NOTE };

/* Who checks it, and what its id is of. */
enum doctor_family { FAMILY_JOB, FAMILY_DEDUP, FAMILY_RUN, FAMILY_FLEET, FAMILY_QUEUE };

/* the enumerator, the name, level, family, who mends it (NULL: nobody), what to do where it is not mended */
#define KIND_MAP(X)                                                                                                    \
	X(KIND_BAD_RECORD, "bad-record", DAMAGE, JOB, NULL,                                                            \
	  "nothing is done about it by itself: look at the record, and delete the job's keys if it is of no use")      \
	X(KIND_LEFT_OVER, "left-over", DAMAGE, JOB, mend_job, "--repair removes these keys: nobody will ask for them") \
	X(KIND_SPEC_MISSING, "spec-missing", DAMAGE, JOB, NULL,                                                        \
	  "it cannot be run without it: cancel the job and submit it again")                                           \
	X(KIND_LIVE_EXPIRY, "live-expiry", DAMAGE, JOB, mend_job, "--repair takes the expiry away")                    \
	X(KIND_KEPT_FOR_EVER, "kept-for-ever", DAMAGE, JOB, mend_resume,                                               \
	  "--repair tells its dependents once more, and the time of keeping begins")                                   \
	X(KIND_UNEVEN_EXPIRY, "uneven-expiry", DAMAGE, JOB, mend_job,                                                  \
	  "--repair gives all of its keys the record's expiry")                                                        \
	X(KIND_PENDING_DIFFERS, "pending-differs", DAMAGE, JOB, mend_job, "--repair counts anew")                      \
	X(KIND_WAITS_FOR_NOTHING, "waits-for-nothing", DAMAGE, JOB, mend_again,                                        \
	  "--repair registers it again, with the predecessors that its spec names, if Redis still knows all of them; " \
	  "else cancel it and submit it again")                                                                        \
	X(KIND_NOT_TOLD, "not-told", DAMAGE, JOB, mend_not_told, "--repair tells it")                                  \
	X(KIND_NOT_LISTED, "not-listed", DAMAGE, JOB, mend_again, "--repair registers it again")                       \
	X(KIND_BROKEN_JOIN, "broken-join", DAMAGE, JOB, mend_not_told,                                                 \
	  "--repair ends it as the other one ended, or gives it the key if that one is gone")                          \
	X(KIND_GUARD_UNLISTED, "guard-unlisted", DAMAGE, JOB, mend_resume_listed,                                      \
	  "--repair finishes the registration")                                                                        \
	X(KIND_CYCLE, "cycle", DAMAGE, JOB, NULL, "which of them is a mistake only you know: cancel one")              \
	X(KIND_LEASE_MISSING, "lease-missing", DAMAGE, JOB, mend_job,                                                  \
	  "--repair gives it a lease; if its worker does not renew it, it is queued again when that has run out")      \
	X(KIND_LEASE_STRAY, "lease-stray", DAMAGE, JOB, mend_job, "--repair strikes the entry off")                    \
	X(KIND_LEASE_EXPIRED, "lease-expired", DAMAGE, JOB, mend_lose,                                                 \
	  "start a worker, whose caretaker queues it again; or --repair does, if nobody renews it while the doctor "   \
	  "looks")                                                                                                     \
	X(KIND_SCHEDULED_MISSING, "scheduled-missing", DAMAGE, JOB, mend_job, "--repair lists it again")               \
	X(KIND_SCHEDULED_STRAY, "scheduled-stray", DAMAGE, JOB, mend_job, "--repair strikes the entry off")            \
	X(KIND_SCHEDULED_OVERDUE, "scheduled-overdue", DAMAGE, JOB, mend_due,                                          \
	  "start a worker, whose caretaker queues it; or --repair does")                                               \
	X(KIND_EXPIRING_MISSING, "expiring-missing", DAMAGE, JOB, mend_job, "--repair lists it again")                 \
	X(KIND_EXPIRING_STRAY, "expiring-stray", DAMAGE, JOB, mend_job, "--repair strikes the entry off")              \
	X(KIND_EXPIRING_OVERDUE, "expiring-overdue", DAMAGE, JOB, mend_expire,                                         \
	  "start a worker, whose caretaker ends it as expired; or --repair does")                                      \
	X(KIND_OUTBOX_STRAY, "outbox-stray", DAMAGE, JOB, mend_job, "--repair strikes the entry off")                  \
	X(KIND_OUTBOX_OVERDUE, "outbox-overdue", DAMAGE, JOB, mend_owe,                                                \
	  "start a worker, whose caretaker invites it; or --repair does")                                              \
	X(KIND_SETTLING_STRAY, "settling-stray", DAMAGE, JOB, mend_job, "--repair strikes the entry off")              \
	X(KIND_SETTLING_OVERDUE, "settling-overdue", DAMAGE, JOB, mend_resume,                                         \
	  "start a worker, whose caretaker finishes it; or --repair does")                                             \
	X(KIND_REPLIES_MISSING, "replies-missing", DAMAGE, JOB, mend_replies,                                          \
	  "--repair lists it and sends the replies")                                                                   \
	X(KIND_REPLIES_STRAY, "replies-stray", DAMAGE, JOB, mend_job, "--repair strikes the entry off")                \
	X(KIND_REPLIES_OVERDUE, "replies-overdue", DAMAGE, JOB, mend_replies,                                          \
	  "start a worker, whose caretaker sends them; or --repair does. A full reply queue refuses them")             \
	X(KIND_NO_MESSAGE, "no-message", DAMAGE, JOB, mend_owe, "--repair puts it in the outbox and invites it")       \
	X(KIND_NOT_A_MEMBER, "not-a-member", DAMAGE, JOB, mend_job, "--repair adds it to the run's set")               \
	X(KIND_FEW_MESSAGES, "few-messages", DAMAGE, QUEUE, NULL,                                                      \
	  "which of them have none shows when the queue is empty: run doctor again then")                              \
	X(KIND_DEDUP_STALE, "dedup-stale", DAMAGE, DEDUP, mend_dedup_release,                                          \
	  "the next job with that key takes it; --repair removes it now")                                              \
	X(KIND_DEDUP_EXPIRES, "dedup-expires", DAMAGE, DEDUP, mend_dedup_take, "--repair takes the expiry away")       \
	X(KIND_DEDUP_UNHELD, "dedup-unheld", DAMAGE, JOB, mend_dedup_of_job, "--repair gives it the key")              \
	X(KIND_RUN_COUNTERS, "run-counters", DAMAGE, RUN, mend_run, "--repair sets what was counted")                  \
	X(KIND_RUN_MEMBER, "run-member", DAMAGE, RUN, mend_member, "--repair takes it out of the set")                 \
	X(KIND_STATS_LOW, "stats-low", DAMAGE, FLEET, mend_stats, "--repair raises it to what was counted")            \
	X(KIND_WORKER_GONE, "worker-gone", DAMAGE, FLEET, mend_worker,                                                 \
	  "start a worker, whose caretaker strikes it off; or --repair does")                                          \
	X(KIND_CARETAKER_STUCK, "caretaker-stuck", DAMAGE, FLEET, mend_caretaker, "--repair frees the role")           \
	X(KIND_NO_CARETAKER, "no-caretaker", WARNING, FLEET, NULL,                                                     \
	  "workers take the role only while they reach both servers: look at their logs")                              \
	X(KIND_TAKES_UNSIGNED, "takes-unsigned", WARNING, FLEET, NULL,                                                 \
	  "start it with --require-signed as well: a pool demands signatures when all of its workers do")              \
	X(KIND_NO_WORKER, "no-worker", WARNING, QUEUE, NULL, "start one: flotillad --pool POOL")                       \
	X(KIND_QUEUE_OTHERWISE, "queue-otherwise", DAMAGE, QUEUE, NULL,                                                \
	  "workers refuse to start with it: drain and delete it, and let a worker declare it")                         \
	X(KIND_TOPOLOGY_MISSING, "topology-missing", DAMAGE, QUEUE, mend_topology,                                     \
	  "--repair declares it, as flotilla broker apply does")                                                       \
	X(KIND_INVITES_NOBODY, "invites-nobody", DAMAGE, QUEUE, mend_invitations,                                      \
	  "a worker drops it when it comes to it; --repair removes it now")                                            \
	X(KIND_REJECTED, "rejected", WARNING, QUEUE, NULL,                                                             \
	  "the header x-flotilla-reason of each says what is wrong with it; correct the client, then purge the queue") \
	X(KIND_UNROUTED, "unrouted", WARNING, QUEUE, NULL,                                                             \
	  "a worker of the pool that they are meant for takes them when it starts; look at their routing keys")        \
	X(KIND_RETURNED, "returned", WARNING, QUEUE, NULL, "any worker publishes them again: is there one?")           \
	X(KIND_BROKER_ALARM, "broker-alarm", WARNING, QUEUE, NULL,                                                     \
	  "RabbitMQ takes no messages until it has memory, or disk space, again")                                      \
	X(KIND_REDIS_SETTING, "redis-setting", WARNING, FLEET, NULL,                                                   \
	  "broker-config/redis.conf has what a fleet needs")                                                           \
	X(KIND_REDIS_STATE, "redis-state", WARNING, FLEET, NULL, "look at Redis' log, and at its disk and memory")     \
	X(KIND_REDIS_USER, "redis-user", WARNING, FLEET, NULL, ACCESS_DEFAULT_CURE)                                    \
	X(KIND_UNKNOWN_PREDECESSOR, "unknown-predecessor", NOTE, JOB, NULL,                                            \
	  "jobs may come in any order: submit it, or cancel what waits for it")                                        \
	X(KIND_PLACEHOLDER, "placeholder", NOTE, JOB, NULL, "it goes with the job of that id, if it ever comes")       \
	X(KIND_CONFIG_HIDDEN, "config-hidden", NOTE, FLEET, NULL,                                                      \
	  "the user may not read CONFIG: look at the settings yourself")

enum doctor_kind {
#define X(name, text, level, family, mend, hint) name,
	KIND_MAP(X)
#undef X
		KIND_COUNT
};

#endif
