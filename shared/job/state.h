/* The states of a job, the conditions of an edge and the reasons of an end, in the words of docs/protocol.md. */
#ifndef FLOTILLA_JOB_STATE_H
#define FLOTILLA_JOB_STATE_H

#include <stdbool.h>
#include <stddef.h>

/*   submitted ─┬─▶ waiting ──last predecessor ended──┬──────────┐
 *              ├─▶ scheduled ◀──── not due yet ──────┘          │
 *              │       └──due──▶ queued ◀──────────────────────┘
 *              └───────────────▶ queued ──claim──▶ running ─┬─▶ succeeded
 *                       ▲                                    ├─▶ failed
 *                       └── retry: scheduled, then queued ◀──┤
 *                                                            └─▶ cancelled
 *   also ends: skipped, expired. The moves themselves are the scripts' (shared/store/lua). */
#define JOB_STATE_MAP(X)                                                                                               \
	X(JOB_WAITING, "waiting", false)                                                                               \
	X(JOB_SCHEDULED, "scheduled", false)                                                                           \
	X(JOB_QUEUED, "queued", false)                                                                                 \
	X(JOB_RUNNING, "running", false)                                                                               \
	X(JOB_SUCCEEDED, "succeeded", true)                                                                            \
	X(JOB_FAILED, "failed", true)                                                                                  \
	X(JOB_CANCELLED, "cancelled", true)                                                                            \
	X(JOB_SKIPPED, "skipped", true)                                                                                \
	X(JOB_EXPIRED, "expired", true)

enum job_state {
#define X(name, text, ended) name,
	JOB_STATE_MAP(X)
#undef X
		JOB_STATE_COUNT
};

#define JOB_WHEN_MAP(X)                                                                                                \
	X(JOB_WHEN_SUCCEEDED, "succeeded")                                                                             \
	X(JOB_WHEN_FAILED, "failed")                                                                                   \
	X(JOB_WHEN_ENDED, "ended")

enum job_when {
#define X(name, text) name,
	JOB_WHEN_MAP(X)
#undef X
		JOB_WHEN_COUNT
};

/* text, and whether `retries` apply to it. */
#define JOB_REASON_MAP(X)                                                                                              \
	X(JOB_REASON_NONE, "", false)                                                                                  \
	X(JOB_REASON_EXIT, "exit", true)                                                                               \
	X(JOB_REASON_SIGNAL, "signal", true)                                                                           \
	X(JOB_REASON_TIMEOUT, "timeout", true)                                                                         \
	X(JOB_REASON_ERROR, "error", true)                                                                             \
	X(JOB_REASON_RESULT, "result", true)                                                                           \
	X(JOB_REASON_BAD_ARGUMENT, "bad argument", false)                                                              \
	X(JOB_REASON_UNKNOWN_TASK, "unknown task", false)                                                              \
	X(JOB_REASON_NOT_ALLOWED, "not allowed", false)                                                                \
	X(JOB_REASON_UNSIGNED, "unsigned", false)                                                                      \
	X(JOB_REASON_POISON, "poison", false)                                                                          \
	X(JOB_REASON_PREDECESSOR, "predecessor", false)                                                                \
	X(JOB_REASON_EXPIRED, "expired", false)                                                                        \
	X(JOB_REASON_CANCELLED, "cancelled", false)                                                                    \
	X(JOB_REASON_REJECTED, "rejected", false)

enum job_reason {
#define X(name, text, retried) name,
	JOB_REASON_MAP(X)
#undef X
		JOB_REASON_COUNT
};

/* The word of a value, and back: the parsers return -1 for a word that is none. */
const char *job_state_name(enum job_state state);
int job_state_parse(const char *text, size_t len);
bool job_state_ended(enum job_state state);
const char *job_when_name(enum job_when when);
int job_when_parse(const char *text, size_t len);
const char *job_reason_name(enum job_reason reason);
bool job_reason_retried(enum job_reason reason);

#endif
