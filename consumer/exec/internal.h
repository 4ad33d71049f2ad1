/* What the files of this directory share. Not for others.
 *
 *	exec.c        the public functions, the table of the kinds of handlers
 *	attempt.c     the life of one attempt, whatever runs it: its clock, its end
 *	builtin.c     noop, fail, sleep
 *	process.c     a process per job: exec, replay, commands; jobdir.c, output.c, environ.c help it
 *	spawn.c       starting a child process, and learning of its end
 *	runner.c      long-lived children that speak frames (frames.c, runner_child.c)
 *	handlers.c    the handlers file; handler_keys.c and confine_keys.c what a handler says
 *	command_line.c, placeholders.c    the arguments of commands
 *	sweep.c       old job directories go
 *
 * An attempt is begun by its kind's `start`, ended by attempt_end, and freed there; nobody may touch it after.
 */
#ifndef FLOTILLA_CONSUMER_EXEC_INTERNAL_H
#define FLOTILLA_CONSUMER_EXEC_INTERNAL_H

#include "exec/exec.h"
#include "exec/output.h"
#include "exec/spawn.h"

#define KILL_AFTER_MS 5000
#define OUTPUT_EVERY_MS 1000

struct confinement;
struct runners;

/* One way to run a job. */
struct kind {
	const char *name;
	bool instant;
	bool wants_results;
	bool takes_argv;
	/* Begins; false: the attempt has ended already (and is gone). */
	bool (*start)(struct attempt *attempt);
	/* The attempt should end soon (politely), and at once. May end it before they return. NULL where instant. */
	void (*term)(struct attempt *attempt);
	void (*kill)(struct attempt *attempt);
	/* Once a second, to report output; may be NULL. */
	void (*tick)(struct attempt *attempt);
	/* The executor closes: whatever `start` holds, without callbacks. May be NULL. */
	void (*drop)(struct attempt *attempt);
};

extern const struct kind kind_noop, kind_fail, kind_sleep, kind_exec, kind_replay, kind_command, kind_runner;

/* A task that this worker knows: built in, or of the handlers file. */
struct handler {
	char *name;
	const struct kind *kind;
	int line;
	char **argv; /* command: with placeholders; runner: as it is */
	char **env;  /* names that jobs may set; NULL-terminated, or NULL: none */
	char *base;  /* the directory of the handlers file */
	int64_t timeout_ms, retries;
	int processes;
	bool services;
	bool any_env;                    /* jobs may set any name */
	bool options;                    /* values of placeholders may be options */
	struct confinement *confinement; /* NULL: as the worker itself */
	struct runners *runners;
};

struct handlers {
	struct handler *items; /* sorted by name */
	size_t count;
};

struct executor {
	uv_loop_t *loop;
	char *work_dir; /* absolute */
	char *pool;
	char *cwd;        /* the worker's own directory */
	char *runner;     /* the program flotilla-runner */
	char *replay_dir; /* absolute */
	char *amqp_url, *redis_url, *prefix, *worker_key;
	struct tls_files tls; /* absolute paths, or "" */
	char **base_env;      /* the worker's environment without FLOTILLA_*; NULL-terminated */
	bool allow_exec;
	int64_t max_timeout_ms, keep_dirs_ms, keep_failed_dirs_ms;
	int64_t next_dir;
	struct handlers handlers;
	char *tasks;
	struct children children;
	struct attempt *attempts; /* all that run */
	uv_timer_t tick, sweep;
	struct sweeping *sweeping; /* under way in the thread pool, or NULL */
	int open_handles;          /* of its own and the runners': freed when the last has closed */
	bool closing;
};

struct process;
struct ticket;

struct attempt {
	struct executor *executor;
	const struct handler *handler;
	const struct job *job;
	int64_t number;
	const char *results, *results_missing; /* behind the struct */
	const struct exec_callbacks *callbacks;
	void *data;
	struct attempt *prev, *next;
	uv_timer_t timer; /* the timeout, then the wait between SIGTERM and SIGKILL; sleep's own */
	bool timer_open;
	bool cancelled, timed_out;
	struct process *process;
	struct ticket *ticket; /* at a runner */
};

/* attempt.c */
struct attempt *attempt_new(struct executor *executor, const struct handler *handler,
			    const struct exec_request *request);
/* Tells the caller and frees the attempt. The outcome is made CANCELLED or TIMEOUT where that was the cause. */
void attempt_end(struct attempt *attempt, struct outcome *outcome);
/* The attempt failed: `format` says why. No output. */
void attempt_fail(struct attempt *attempt, enum job_reason reason, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* Frees without a word. */
void attempt_drop(struct attempt *attempt);
/* The one timer of the attempt: `on` after `ms`; replaces what it was set for. */
void attempt_alarm(struct attempt *attempt, int64_t ms, void (*on)(uv_timer_t *));
/* Its timeout: the job's, else the handler's; -1: none. */
int64_t attempt_timeout_ms(const struct attempt *attempt);
/* Starts the clock of its timeout, if it has one: term, and kill after KILL_AFTER_MS. */
void attempt_start_clock(struct attempt *attempt);
/* "after 2 s": for errors. */
void attempt_timeout_text(const struct attempt *attempt, char *text, size_t size);

/* handlers.c: built-ins and those of `file` (may be NULL). ERR_USAGE with file and line. */
int handlers_load(struct handlers *ret, const char *file, struct err *err);
void handlers_release(struct handlers *handlers);
const struct handler *handlers_find(const struct handlers *handlers, const char *name);

/* placeholders.c: checks at load that all of a text's placeholders are ones there are; fills them in for an attempt
 * (`dir` is its job directory). ERR_INPUT names the placeholder. */
int placeholders_check(const char *text, struct err *err);
/* Whether a text (that has been checked) begins with one, has any, has one whose value is the publisher's: of the args,
 * the id and the run. */
bool placeholder_leads(const char *text);
bool placeholders_any(const char *text);
bool placeholders_of_publisher(const char *text);
int placeholders_fill(const char *text, const struct attempt *attempt, const char *dir, char **ret, struct err *err);

/* environ.c: the worker's environment without FLOTILLA_*. */
char **environ_base(void);
void environ_base_free(char **env);
/* What a child of this handler gets; `attempt` and `dir` are NULL for a runner. NULL-terminated; to free(). It borrows
 * what it has of the executor's. */
char **environ_for(const struct executor *executor, const struct handler *handler, const struct attempt *attempt,
		   const char *dir);
/* The value of a name in such a list, or NULL. */
const char *environ_get(char *const *env, const char *name);
/* A program's path: one with a slash from `base` if it is relative, else the first in the PATH of `env`.
 * ERR_NOT_FOUND in words. */
int program_find(const char *program, const char *base, char *const *env, char **ret, struct err *err);

/* confine_handlers.c: users, limits and namespaces of all handlers, checked and tried. ERR_USAGE in words. */
int confine_handlers(struct executor *executor, const struct exec_options *options, struct err *err);

/* sweep.c: removes old job directories in the thread pool, if it is not doing so. */
void sweep_start(struct executor *executor);
/* The executor goes: the sweep may end on its own. */
void sweep_forget(struct executor *executor);

/* runner.c */
void runners_close(struct executor *executor, struct handler *handler);
/* Text for `error` of a process' end: "exit status 3", "killed by signal 9 (Killed)". */
void describe_status(int status, char *text, size_t size);
/* exec.c: whether this worker runs it. */
bool executor_has(const struct executor *executor, const struct handler *handler);
/* exec.c: one handle of the executor has closed. */
void executor_handle_closed(struct executor *executor);

#endif
