/* Running one attempt of a job, whatever runs it: a process, a runner child, a built-in. No broker, no Redis: the
 * caller has claimed the job, and is told how it went.
 *
 * All on the loop's thread; nothing blocks. Exactly one `ended` for each attempt that exec_start took; none where
 * it failed. To add a way to run: a file beside this one and a row in the table of exec.c.
 */
#ifndef FLOTILLA_CONSUMER_EXEC_EXEC_H
#define FLOTILLA_CONSUMER_EXEC_EXEC_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/err.h"
#include "base/tls.h"
#include "job/job.h"

struct executor; /* one per worker: the handlers, the work directory, the runner children */
struct attempt;  /* one attempt under way */

struct exec_options {
	const char *handlers_file; /* YAML, or NULL: built-ins only */
	const char *work_dir;
	const char *pool;
	const char *replay_dir; /* where the task replay may read and write; NULL: where flotilla run has marked a
				   directory */
	bool allow_exec;
	const char *job_user;        /* who runs what a handler names no user for; NULL: the worker's user */
	int64_t max_timeout_ms;      /* for one attempt, whatever job and handler say; 0: none */
	int64_t keep_dirs_ms;        /* of jobs that succeeded */
	int64_t keep_failed_dirs_ms; /* of the others */
	/* for handlers with `services: true` */
	const char *amqp_url, *redis_url, *prefix;
	const struct tls_files *tls; /* NULL: none */
	const char *worker_key;      /* FLOTILLA_WORKER in the environment of all that is started; NULL: none */
};

/* How an attempt went. Borrowed for the call. */
struct outcome {
	bool succeeded;
	enum job_reason reason; /* JOB_REASON_NONE when succeeded; CANCELLED when exec_stop asked for it */
	const char *error;      /* for people; NULL when succeeded */
	int exit_code;          /* -1 where no process exited (signal, built-in, runner) */
	const char *result;     /* compact JSON text, or NULL */
	const char *output;     /* the last 64 KiB of stdout and stderr, as read */
	size_t output_len;
};

struct exec_callbacks {
	void (*started)(void *data, const char *dir);             /* a job directory was made */
	void (*output)(void *data, const char *tail, size_t len); /* at most once a second, when it grew */
	void (*progress)(void *data, const char *text);           /* a runner said so */
	void (*ended)(void *data, const struct outcome *outcome); /* the attempt is over and freed */
};

struct exec_request {
	const struct job *job; /* stays until `ended` */
	int64_t attempt;
	const char *results;         /* JSON object text: predecessors' results by id; NULL: {} */
	const char *results_missing; /* JSON array text: ids of those left out; NULL: [] */
	const struct exec_callbacks *callbacks;
	void *data;
};

/* Reads the handlers (ERR_USAGE: file, line, what), makes the work directory, tries what handlers ask of this worker
 * (users, limits, namespaces; ERR_USAGE where it cannot give it), starts nothing yet but clean-up of old
 * directories. */
int executor_open(uv_loop_t *loop, const struct exec_options *options, struct executor **ret, struct err *err);
/* Kills what still runs (SIGKILL to process groups), ends the runners, frees. No callbacks are called from here on. */
void executor_close(struct executor *executor);

enum exec_knows { EXEC_KNOWN, EXEC_UNKNOWN, EXEC_NOT_ALLOWED };
/* Whether this worker can run `task`. `exec` without allow_exec is EXEC_NOT_ALLOWED. */
enum exec_knows executor_knows(const struct executor *executor, const char *task);
/* The names that are EXEC_KNOWN, sorted, joined by commas ("exec,fail,noop,…"); the executor's. */
const char *executor_tasks(const struct executor *executor);
/* What the handler says where the job does not (job.retries, job.timeout_ms are -1): -1 where it says nothing. */
int64_t executor_retries(const struct executor *executor, const char *task);
/* Whether attempts of `task` want their predecessors' results (processes and runners do, most built-ins do not). */
bool executor_wants_results(const struct executor *executor, const char *task);
/* Whether it takes no slot and ends within exec_start (`noop`, `fail`). */
bool executor_instant(const struct executor *executor, const char *task);

/* Calls `each` for every process that was started and has not been reaped. */
void executor_each_child(const struct executor *executor, void (*each)(void *data, pid_t pid), void *data);

/* Starts an attempt. 0: it runs, or has ended already (instant ones call `ended` before this returns). What goes wrong
 * with this job alone (a missing placeholder, no such program) is an `ended`, not an error. *ret may be NULL after an
 * instant. */
int exec_start(struct executor *executor, const struct exec_request *request, struct attempt **ret, struct err *err);

enum exec_stop {
	EXEC_STOP_CANCEL, /* SIGTERM to the process group, SIGKILL 5 s later; ends as CANCELLED unless it succeeds first
			   */
	EXEC_STOP_KILL,   /* SIGKILL to the process group now */
};
void exec_stop(struct attempt *attempt, enum exec_stop how);

#endif
