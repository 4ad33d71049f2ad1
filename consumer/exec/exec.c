#include "exec/exec.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utlist.h>

#include "exec/internal.h"
#include "exec/jobdir.h"
#include "exec/runner.h"

#define SWEEP_EVERY_MS (10 * 60 * 1000)

static int make_dirs(char *path, struct err *err)
{
	for (char *at = path + 1;; at++) {
		char was = *at;
		if (was != '/' && was != '\0')
			continue;
		*at = '\0';
		/* Jobs of other users pass through it, and see no names. */
		if (mkdir(path, was ? 0777 : 0711) < 0 && errno != EEXIST)
			return err_set(err, ERR_USAGE, "the work directory %s cannot be made: %s", path,
				       strerror(errno));
		*at = was;
		if (!was)
			return 0;
	}
}

/* Makes the work directory and keeps its absolute name, so that a later chdir does not matter. */
static int open_work_dir(struct executor *executor, const char *path, struct err *err)
{
	char *copy = xstrdup(*path ? path : ".");
	int r = make_dirs(copy, err);

	if (r == 0) {
		executor->work_dir = realpath(copy, NULL);
		if (!executor->work_dir)
			r = err_set(err, ERR_USAGE, "the work directory %s: %s", copy, strerror(errno));
		else if (access(executor->work_dir, W_OK | X_OK) < 0)
			r = err_set(err, ERR_USAGE, "the work directory %s cannot be written to: %s", copy,
				    strerror(errno));
	}
	free(copy);
	return r;
}

bool executor_has(const struct executor *executor, const struct handler *handler)
{
	return handler && (handler->kind != &kind_exec || executor->allow_exec);
}

static char *join_tasks(const struct executor *executor)
{
	struct buf text = BUF_INIT;

	for (size_t i = 0; i < executor->handlers.count; i++) {
		const struct handler *handler = &executor->handlers.items[i];
		if (!executor_has(executor, handler))
			continue;
		if (text.len > 0)
			buf_adds(&text, ",");
		buf_adds(&text, handler->name);
	}
	return buf_detach(&text);
}

static void executor_free(struct executor *executor)
{
	handlers_release(&executor->handlers);
	environ_base_free(executor->base_env);
	free(executor->work_dir);
	free(executor->pool);
	free(executor->cwd);
	free(executor->runner);
	free(executor->replay_dir);
	free(executor->amqp_url);
	free(executor->redis_url);
	free(executor->prefix);
	free(executor->tls.ca);
	free(executor->tls.cert);
	free(executor->tls.key);
	free(executor->worker_key);
	free(executor->tasks);
	free(executor);
}

static void on_tick(uv_timer_t *timer)
{
	struct executor *executor = timer->data;
	struct attempt *attempt, *next;

	DL_FOREACH_SAFE(executor->attempts, attempt, next)
	{
		if (attempt->handler->kind->tick)
			attempt->handler->kind->tick(attempt);
	}
}

static void on_sweep(uv_timer_t *timer) { sweep_start(timer->data); }

static void start_timer(struct executor *executor, uv_timer_t *timer, uv_timer_cb on, uint64_t first, uint64_t every)
{
	uv_timer_init(executor->loop, timer);
	timer->data = executor;
	uv_timer_start(timer, on, first, every);
}

static char *copy_text(const char *text) { return xstrdup(text ? text : ""); }

/* A job has another directory than its worker. */
static char *absolute(const char *cwd, const char *path)
{
	struct buf text = BUF_INIT;

	if (!path || !*path || *path == '/')
		return copy_text(path);
	buf_addf(&text, "%s/%s", cwd, path);
	return buf_detach(&text);
}

static int fill(struct executor *executor, const struct exec_options *options, struct err *err)
{
	int r;

	executor->pool = xstrdup(options->pool);
	executor->amqp_url = copy_text(options->amqp_url);
	executor->redis_url = copy_text(options->redis_url);
	executor->prefix = copy_text(options->prefix);
	executor->worker_key = copy_text(options->worker_key);
	executor->allow_exec = options->allow_exec;
	executor->max_timeout_ms = options->max_timeout_ms;
	executor->keep_dirs_ms = options->keep_dirs_ms;
	executor->keep_failed_dirs_ms = options->keep_failed_dirs_ms;
	executor->base_env = environ_base();
	executor->runner = runner_program();
	executor->cwd = getcwd(NULL, 0);
	if (!executor->cwd)
		executor->cwd = xstrdup("/");
	executor->tls.ca = absolute(executor->cwd, options->tls ? options->tls->ca : NULL);
	executor->tls.cert = absolute(executor->cwd, options->tls ? options->tls->cert : NULL);
	executor->tls.key = absolute(executor->cwd, options->tls ? options->tls->key : NULL);
	executor->replay_dir = absolute(executor->cwd, options->replay_dir);
	r = handlers_load(&executor->handlers, options->handlers_file, err);
	if (r == 0)
		r = open_work_dir(executor, options->work_dir, err);
	if (r == 0)
		r = confine_handlers(executor, options, err);
	return r;
}

int executor_open(uv_loop_t *loop, const struct exec_options *options, struct executor **ret, struct err *err)
{
	struct executor *executor = xcalloc(1, sizeof *executor);
	int r;

	executor->loop = loop;
	r = fill(executor, options, err);
	if (r == 0)
		r = children_open(&executor->children, loop, err);
	if (r < 0) {
		executor_free(executor);
		return r;
	}
	executor->next_dir = jobdir_first_number(executor->work_dir, executor->pool);
	executor->tasks = join_tasks(executor);
	start_timer(executor, &executor->tick, on_tick, OUTPUT_EVERY_MS, OUTPUT_EVERY_MS);
	start_timer(executor, &executor->sweep, on_sweep, SWEEP_EVERY_MS, SWEEP_EVERY_MS);
	executor->open_handles = 3;
	sweep_start(executor);
	*ret = executor;
	return 0;
}

void executor_handle_closed(struct executor *executor)
{
	if (--executor->open_handles == 0 && executor->closing)
		executor_free(executor);
}

static void on_children_closed(uv_handle_t *handle)
{
	struct children *children = handle->data;
	executor_handle_closed((struct executor *)((char *)children - offsetof(struct executor, children)));
}

static void on_closed(uv_handle_t *handle) { executor_handle_closed(handle->data); }

void executor_close(struct executor *executor)
{
	struct attempt *attempt, *next;

	if (!executor)
		return;
	executor->closing = true;
	children_close(&executor->children, on_children_closed);
	for (size_t i = 0; i < executor->handlers.count; i++)
		runners_close(executor, &executor->handlers.items[i]);
	DL_FOREACH_SAFE(executor->attempts, attempt, next)
	{
		if (attempt->handler->kind->drop)
			attempt->handler->kind->drop(attempt);
		attempt_drop(attempt);
	}
	if (executor->sweeping)
		sweep_forget(executor);
	uv_close((uv_handle_t *)&executor->tick, on_closed);
	uv_close((uv_handle_t *)&executor->sweep, on_closed);
}

enum exec_knows executor_knows(const struct executor *executor, const char *task)
{
	const struct handler *handler = handlers_find(&executor->handlers, task);
	if (!handler)
		return EXEC_UNKNOWN;
	return executor_has(executor, handler) ? EXEC_KNOWN : EXEC_NOT_ALLOWED;
}

const char *executor_tasks(const struct executor *executor) { return executor->tasks; }

int64_t executor_retries(const struct executor *executor, const char *task)
{
	const struct handler *handler = handlers_find(&executor->handlers, task);
	return handler ? handler->retries : -1;
}

bool executor_wants_results(const struct executor *executor, const char *task)
{
	const struct handler *handler = handlers_find(&executor->handlers, task);
	return handler && handler->kind->wants_results;
}

bool executor_instant(const struct executor *executor, const char *task)
{
	const struct handler *handler = handlers_find(&executor->handlers, task);
	return handler && handler->kind->instant;
}

static bool env_allowed(const struct handler *handler, const char *name)
{
	if (handler->any_env)
		return strncmp(name, "FLOTILLA_", 9) != 0;
	for (char **at = handler->env; at && *at; at++)
		if (strcmp(*at, name) == 0)
			return true;
	return false;
}

/* Ends the attempt where the job gives what its handler does not take. */
static bool takes(struct attempt *attempt)
{
	const struct job *job = attempt->job;
	const struct handler *handler = attempt->handler;

	if (job->argv && !handler->kind->takes_argv) {
		attempt_fail(attempt, JOB_REASON_BAD_ARGUMENT, "argv: the handler %s takes no command line",
			     handler->name);
		return false;
	}
	for (size_t i = 0; i < job->env_count; i++) {
		if (!env_allowed(handler, job->env[i].key)) {
			attempt_fail(attempt, JOB_REASON_BAD_ARGUMENT, "env: the handler %s does not take %s",
				     handler->name, job->env[i].key);
			return false;
		}
	}
	return true;
}

static void refuse(const struct exec_request *request, enum job_reason reason, const char *text)
{
	struct outcome outcome = {.reason = reason, .error = text, .exit_code = -1, .output = ""};
	request->callbacks->ended(request->data, &outcome);
}

int exec_start(struct executor *executor, const struct exec_request *request, struct attempt **ret, struct err *err)
{
	const struct handler *handler = handlers_find(&executor->handlers, request->job->task);
	struct attempt *attempt;

	*ret = NULL;
	if (executor->closing)
		return err_set(err, ERR_AGAIN, "the worker is ending");
	if (!handler) {
		refuse(request, JOB_REASON_UNKNOWN_TASK, "this worker has no handler for the task");
		return 0;
	}
	if (!executor_has(executor, handler)) {
		refuse(request, JOB_REASON_NOT_ALLOWED, "this worker runs no commands (--allow-exec)");
		return 0;
	}
	attempt = attempt_new(executor, handler, request);
	if (takes(attempt) && handler->kind->start(attempt))
		*ret = attempt;
	return 0;
}

void executor_each_child(const struct executor *executor, void (*each)(void *data, pid_t pid), void *data)
{
	for (const struct child *child = executor->children.by_pid; child; child = child->hh.next)
		each(data, child->pid);
}
