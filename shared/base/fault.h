/* Fault points: named places, at each boundary between a store, the broker and a process, where a test makes the
 * process die (SIGKILL to itself), stall (the calling thread sleeps), or get an error. Only in builds with FAULTS=1,
 * which define FLOTILLA_FAULTS; in any other build the macros are nothing, and no word of this is in the programs.
 *
 * Which one is chosen by the environment (not named FLOTILLA_…, so that runners inherit it):
 *
 *   FAULT_AT=claim.sent:kill               at the first time
 *   FAULT_AT=claim.sent:stall=1500:nth=3   at the third, for 1500 ms
 *   FAULT_AT=claim.sent:error:once         in one of all the processes that are told so (needs FAULT_LOG)
 *   FAULT_AT=random:SEED:N                 at each point that is come to, one time in N, what it allows, by chance
 *   FAULT_LOG=FILE                         a line is appended before it happens: `MONOTONIC_MS PID POINT ACTION`; while
 *                                          FILE.off is there, nothing happens by chance
 *
 * A choice that cannot be understood ends the process (exit 2).
 */
#ifndef FLOTILLA_BASE_FAULT_H
#define FLOTILLA_BASE_FAULT_H

#include <stdbool.h>
#include <stdint.h>

/* SCRIPT(name, who, what it stands for): two points for each script of shared/store/lua. NAME.sent: the call is written
 * to Redis and not answered; NAME.answered: the answer is read and nothing has been done about it. An error is a
 * connection that is shut at that place: the answer is lost, and the call is made again.
 *
 * POINT(NAME, name, who, actions, where it is). who: w worker, c command, d the command's doctor, r the runner of
 * plugins. actions: k kill, s stall, e error. */
#define FAULT_MAP(SCRIPT, POINT)                                                                                       \
	SCRIPT(admit, "wc", "a job's record, spec and guard")                                                          \
	SCRIPT(answer, "wc", "which replies a job owes")                                                               \
	SCRIPT(cancel, "c", "a request to cancel")                                                                     \
	SCRIPT(children, "w", "a batch of more than a hundred dependents")                                             \
	SCRIPT(claim, "w", "an attempt begins")                                                                        \
	SCRIPT(dedup, "wc", "a dedup key is taken, or released")                                                       \
	SCRIPT(defer, "w", "a job whose task this worker does not know is passed on")                                  \
	SCRIPT(detail, "w", "how a job ended, for those that joined it")                                               \
	SCRIPT(due, "w", "the caretaker queues what is due")                                                           \
	SCRIPT(examine, "d", "all that Redis holds of one job is read")                                                \
	SCRIPT(expire, "w", "the caretaker ends what is past its deadline")                                            \
	SCRIPT(handback, "w", "an attempt is given back: its worker stops, or it waited in vain for a slot")           \
	SCRIPT(invited, "wc", "a confirmed invitation is noted in the outbox")                                         \
	SCRIPT(join, "wc", "a job joins the holder of its key, or nobody")                                             \
	SCRIPT(leave, "w", "a worker is struck off")                                                                   \
	SCRIPT(look, "w", "the caretaker looks at what is listed in settling")                                         \
	SCRIPT(lose, "w", "the caretaker takes a job from a worker that is gone")                                      \
	SCRIPT(mend, "d", "one job's indices and expiries are brought in line with its record")                        \
	SCRIPT(owe, "w", "an invitation is owed before a message is acknowledged unclaimed, or is overdue")            \
	SCRIPT(pass, "w", "a plain success, and its one dependent is told in the same call")                           \
	SCRIPT(presence, "w", "a worker's sign of life")                                                               \
	SCRIPT(raise, "d", "the fleet's counters are raised to what was counted")                                      \
	SCRIPT(recount, "d", "a run's counters are set to what was counted")                                           \
	SCRIPT(refuse, "w", "a task that nobody knows ends as failed")                                                 \
	SCRIPT(register, "wc", "the guard goes: the registration is finished")                                         \
	SCRIPT(renew, "w", "a lease is renewed")                                                                       \
	SCRIPT(replied, "w", "a reply that has been published is struck off")                                          \
	SCRIPT(report, "w", "directory, progress, output of an attempt")                                               \
	SCRIPT(resolve, "wc", "one dependent is told of one end")                                                      \
	SCRIPT(retry, "c", "a job that failed is to live again")                                                       \
	SCRIPT(revive, "c", "one that was skipped for it waits again")                                                 \
	SCRIPT(role, "w", "the caretaker's role is taken or kept")                                                     \
	SCRIPT(settle, "w", "an attempt's outcome")                                                                    \
	SCRIPT(start, "w", "admit and claim in one")                                                                   \
	SCRIPT(succeed, "w", "a plain success of a first attempt")                                                     \
	SCRIPT(sweep, "w", "what is overdue is listed for the caretaker")                                              \
	SCRIPT(told, "w", "all dependents have been told: the end is struck off settling")                             \
	SCRIPT(unhold, "d", "a stale dedup key is removed")                                                            \
	SCRIPT(watch, "wc", "a predecessor takes the child among its dependents, or says how it ended")                \
	SCRIPT(plain, "wc", "any command that is no script")                                                           \
	POINT(REDIS_CONNECTED, "redis.connected", "wc", "kse", "a session with Redis stands; nothing is sent yet")     \
	POINT(CONSUME_CONNECTED, "consume.connected", "w", "kse", "queues are declared; nothing is consumed yet")      \
	POINT(CONSUME_STARTED, "consume.started", "w", "kse", "a consumer is confirmed")                               \
	POINT(UNROUTED_PUBLISHED, "unrouted.published", "w", "kse",                                                    \
	      "what lay unrouted is published again, not confirmed")                                                   \
	POINT(UNROUTED_CONFIRMED, "unrouted.confirmed", "w", "kse",                                                    \
	      "it is confirmed; the first copy is not "                                                                \
	      "acknowledged")                                                                                          \
	POINT(DELIVERY_RECEIVED, "delivery.received", "w", "kse", "a delivery has come; nothing is done about it")     \
	POINT(MOVE_HANDED, "move.handed", "w", "kse",                                                                  \
	      "a message that is to be rejected or sent back, before the "                                             \
	      "publisher has its copy")                                                                                \
	POINT(MOVE_CONFIRMED, "move.confirmed", "w", "kse", "its copy is confirmed; it is not acknowledged")           \
	POINT(ACK_READY, "ack.ready", "w", "kse", "outcomes are durable; their acknowledgements are not sent")         \
	POINT(ACK_SENT, "ack.sent", "w", "kse", "acknowledgements are written to the socket")                          \
	POINT(EXEC_READY, "exec.ready", "w", "ksf", "a job is claimed; nothing of it is started")                      \
	POINT(AHEAD_WAITS, "ahead.waits", "w", "ks", "a job is claimed; there is no slot for it yet")                  \
	POINT(AHEAD_BEGINS, "ahead.begins", "w", "ks", "one that waited for a slot gets it; nothing of it is started") \
	POINT(AHEAD_BACK, "ahead.back", "w", "ks", "one that waited in vain, before it is given back")                 \
	POINT(JOBDIR_MADE, "jobdir.made", "w", "ksf", "its directory is made; an error is one of the disk")            \
	POINT(PROCESS_STARTED, "process.started", "w", "ks", "its process runs")                                       \
	POINT(PROCESS_ENDED, "process.ended", "w", "ks", "its process has ended; nothing of that is in Redis")         \
	POINT(RESULT_READ, "result.read", "w", "ksf", "its result is read; an error is one of the disk")               \
	POINT(FRAME_SENT, "frame.sent", "w", "ksf", "a job is written to a runner; an error is a runner that hung up") \
	POINT(FRAME_RECEIVED, "frame.received", "w", "ksf",                                                            \
	      "a runner has spoken; an error is a frame that makes no "                                                \
	      "sense")                                                                                                 \
	POINT(RUNNER_RECEIVED, "runner.received", "r", "ks", "in the runner: it has read a job")                       \
	POINT(RUNNER_RAN, "runner.ran", "r", "ks", "in the runner: the handler has returned, nothing is said")         \
	POINT(RUNNER_ANSWERED, "runner.answered", "r", "ks", "in the runner: the result is written")                   \
	POINT(KEY_RELEASE, "key.release", "w", "ks", "all dependents are told; the dedup key is not released")         \
	POINT(INVITE_HANDED, "invite.handed", "wc", "ks",                                                              \
	      "a job is queued; the publisher does not have its "                                                      \
	      "invitation")                                                                                            \
	POINT(INVITE_CONFIRMED, "invite.confirmed", "wc", "ks",                                                        \
	      "an invitation is confirmed; the outbox does not know")                                                  \
	POINT(REPLY_HANDED, "reply.handed", "w", "ks", "a job has ended; the publisher does not have its reply")       \
	POINT(REPLY_CONFIRMED, "reply.confirmed", "w", "ks", "a reply is confirmed; it stands among those owed")       \
	POINT(PUBLISHER_CONNECTED, "publisher.connected", "wc", "kse", "the publisher's session stands")               \
	POINT(PUBLISH_WRITTEN, "publish.written", "wc", "kse", "a message is written to the socket, not confirmed")    \
	POINT(PUBLISH_CONFIRMED, "publish.confirmed", "wc", "kse",                                                     \
	      "the broker's confirm is read by the publisher's "                                                       \
	      "thread; an error loses it")                                                                             \
	POINT(DEPTH_ASKED, "depth.asked", "w", "kse", "a queue's depth is asked for")                                  \
	POINT(ROLE_TAKEN, "role.taken", "w", "ks", "a worker has become the caretaker")                                \
	POINT(OVERDUE_READY, "overdue.ready", "w", "ks", "an overdue invitation, before it is published again")        \
	POINT(REVIVE_WALKED, "revive.walked", "c", "ks", "all that was skipped waits again; none is registered")       \
	POINT(DRAIN_BEGUN, "drain.begun", "w", "ks", "SIGTERM has come")                                               \
	POINT(HELD_CONFIRMED, "held.confirmed", "w", "kse",                                                            \
	      "a held job's invitation is confirmed; its message is "                                                  \
	      "not acknowledged")                                                                                      \
	POINT(SUBMIT_REGISTERED, "submit.registered", "c", "ks",                                                       \
	      "the job is registered; its invitation is not "                                                          \
	      "confirmed, its id not printed")                                                                         \
	POINT(RUN_NAMED, "run.named", "c", "ks", "a run has its name; no job of it is registered")                     \
	POINT(RUN_SUBMITTING, "run.submitting", "c", "ks", "another job of a run is handed to Redis")                  \
	POINT(RUN_SUBMITTED, "run.submitted", "c", "ks", "all jobs of a run are registered; nobody follows it yet")

#define FAULT_ENUM_SCRIPT_(name, who, what) FAULT_##name##_sent, FAULT_##name##_answered,
#define FAULT_ENUM_POINT_(NAME, name, who, actions, what) FAULT_##NAME,
enum fault_point { FAULT_MAP(FAULT_ENUM_SCRIPT_, FAULT_ENUM_POINT_) FAULT_COUNT };

#ifdef FLOTILLA_FAULTS

/* What is to happen at a point: `fault_take` decides it, `fault_do` does it, so that a caller can make sure in between
 * that what it has sent is sent. Any thread. */
struct fault {
	enum fault_point point;
	char action; /* k, s, e, f */
	int64_t stall_ms;
};
bool fault_take(enum fault_point point, struct fault *ret);
/* May not return, or late. True: the caller is to get an error. */
bool fault_do(const struct fault *fault);
bool fault_at(enum fault_point point);
/* The point of a script by its name, "plain" for none; a script without a row ends the process. */
enum fault_point fault_of_script(const char *name, bool answered);

/* True where the caller is to get an error. */
#define FAULT(point) fault_at(FAULT_##point)
#define FAULT_POINT(point) ((void)fault_at(FAULT_##point))

#else

#define FAULT(point) false
#define FAULT_POINT(point) ((void)0)

#endif

#endif
