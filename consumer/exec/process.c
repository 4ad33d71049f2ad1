/* A process per job, in a directory of its own: `exec`, `replay` and the commands of the handlers file. They differ in
 * their command line only.
 *
 * stdout and stderr are files of the job's, written by it directly: however much it writes, the loop has no part in it,
 * and nothing that the job leaves behind can hold the attempt open. Their ends are read once a second. */
#include "exec/process.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fault.h"
#include "exec/command_line.h"
#include "exec/jobdir.h"
#include "runner/replay.h"

struct process {
	struct child child;
	struct attempt *attempt;
	struct jobdir dir;
	struct output output;
	off_t out_at, err_at;
	int64_t started_ms;
};

struct child *process_child(struct process *process) { return &process->child; }

static void process_free(struct process *process)
{
	jobdir_release(&process->dir);
	output_release(&process->output);
	free(process);
}

static void read_output(struct process *process)
{
	output_add_file(&process->output, process->dir.out, &process->out_at);
	output_add_file(&process->output, process->dir.err, &process->err_at);
}

void describe_status(int status, char *text, size_t size)
{
	if (WIFSIGNALED(status))
		snprintf(text, size, "killed by signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
	else
		snprintf(text, size, "exit status %d", WEXITSTATUS(status));
}

/* Fills the outcome; its result goes to `result`, words to `err`. */
static void judge(struct process *process, int status, struct outcome *outcome, struct buf *result, struct err *err)
{
	struct attempt *attempt = process->attempt;

	outcome->exit_code = WIFEXITED(status) && !process->child.failure ? WEXITSTATUS(status) : -1;
	outcome->succeeded = WIFEXITED(status) && WEXITSTATUS(status) == 0;
	if (process->child.failure) {
		outcome->succeeded = false;
		outcome->reason = JOB_REASON_ERROR;
		outcome->error = process->child.failure;
	} else if (!outcome->succeeded) {
		outcome->reason = WIFSIGNALED(status) ? JOB_REASON_SIGNAL : JOB_REASON_EXIT;
		describe_status(status, err->text, sizeof err->text);
		outcome->error = err->text;
	} else if (jobdir_result(&process->dir, result, err) < 0) {
		outcome->succeeded = false;
		outcome->reason = JOB_REASON_RESULT;
		outcome->error = err->text;
	} else if (result->len > 0) {
		outcome->result = result->data;
	}
	/* It was told to end: a polite exit 0 is no success then. */
	if (attempt->cancelled || attempt->timed_out) {
		outcome->succeeded = false;
		outcome->result = NULL;
	}
}

static void on_ended(struct child *child, int status, const struct rusage *usage)
{
	struct process *process = (struct process *)child;
	struct attempt *attempt = process->attempt;
	CLEANUP(buf_release) struct buf result = BUF_INIT;
	struct outcome outcome = {0};
	struct err err;

	FAULT_POINT(PROCESS_ENDED);
	attempt->process = NULL;
	judge(process, status, &outcome, &result, &err);
	read_output(process);
	outcome.output = output_tail(&process->output, &outcome.output_len);
	jobdir_profile(&process->dir, attempt, !outcome.succeeded, status, usage,
		       clock_mono_ms() - process->started_ms);
	attempt_end(attempt, &outcome);
	process_free(process);
}

void process_argv_free(char **argv)
{
	for (size_t i = 0; argv && argv[i]; i++)
		free(argv[i]);
	free(argv);
}

/* Spawns `argv` in the directory of the process. */
static int spawn(struct process *process, char **argv, const char *base, struct err *err)
{
	struct attempt *attempt = process->attempt;
	struct executor *executor = attempt->executor;
	CLEANUP(freep) char **env = environ_for(executor, attempt->handler, attempt, process->dir.path);
	CLEANUP(freep) char *found = NULL;
	struct spawn spawn = {.argv = argv,
			      .env = env,
			      .dir_fd = process->dir.fd,
			      .dir = process->dir.path,
			      .confinement = attempt->handler->confinement,
			      .in = executor->children.null_fd,
			      .out = process->dir.out,
			      .err = process->dir.err};
	int r = program_find(argv[0], base, env, &found, err);

	spawn.path = found;
	if (r == 0)
		r = child_spawn(&executor->children, &process->child, &spawn, err);
	return r;
}

/* What cannot be started: an end, with the directory left for people to look at. */
static bool refuse(struct process *process, enum job_reason reason, const struct err *err)
{
	struct attempt *attempt = process->attempt;
	const struct rusage none = {0};

	attempt->process = NULL;
	if (process->dir.err >= 0) {
		if (dprintf(process->dir.err, "flotillad: %s\n", err->text) > 0)
			jobdir_profile(&process->dir, attempt, true, 127 << 8, &none, 0);
	}
	process_free(process);
	attempt_fail(attempt, reason, "%s", err->text);
	return false;
}

static struct process *prepare(struct attempt *attempt, struct err *err, int *r)
{
	struct process *process = xcalloc(1, sizeof *process);

	process->attempt = attempt;
	process->child.ended = on_ended;
	process->dir = (struct jobdir)JOBDIR_INIT;
	attempt->process = process;
	*r = jobdir_make(attempt->executor, attempt, &process->dir, err);
	if (FAULT(JOBDIR_MADE))
		*r = err_set(err, ERR_SYSTEM, "a fault");
	if (*r == 0)
		attempt->callbacks->started(attempt->data, process->dir.path);
	process->started_ms = clock_mono_ms();
	return process;
}

static bool run(struct process *process, char **argv, const char *base)
{
	struct err err;

	if (spawn(process, argv, base, &err) < 0)
		return refuse(process, JOB_REASON_ERROR, &err);
	FAULT_POINT(PROCESS_STARTED);
	attempt_start_clock(process->attempt);
	return true;
}

static bool start_exec(struct attempt *attempt)
{
	struct err err;
	int r;
	struct process *process;

	if (attempt->job->argc == 0 || !attempt->job->argv) {
		attempt_fail(attempt, JOB_REASON_BAD_ARGUMENT, "exec needs argv, a command line");
		return false;
	}
	process = prepare(attempt, &err, &r);
	if (r < 0)
		return refuse(process, JOB_REASON_ERROR, &err);
	/* A new directory holds no program: a relative path is from where the worker runs. */
	return run(process, (char **)attempt->job->argv, attempt->executor->cwd);
}

static bool start_replay(struct attempt *attempt)
{
	char option[] = REPLAY_OPTION;
	char *argv[] = {attempt->executor->runner, option, attempt->executor->replay_dir, NULL};
	struct err err;
	int r;
	struct process *process = prepare(attempt, &err, &r);

	if (r < 0)
		return refuse(process, JOB_REASON_ERROR, &err);
	return run(process, argv, attempt->executor->cwd);
}

static bool start_command(struct attempt *attempt)
{
	struct err err;
	char **argv = NULL;
	bool running;
	int r;
	struct process *process = prepare(attempt, &err, &r);

	if (r < 0)
		return refuse(process, JOB_REASON_ERROR, &err);
	if (command_line_fill(attempt, process->dir.path, &argv, &err) < 0)
		return refuse(process, JOB_REASON_BAD_ARGUMENT, &err);
	running = run(process, argv, attempt->handler->base);
	process_argv_free(argv);
	return running;
}

static void term(struct attempt *attempt)
{
	/* If it is over already it did not end because of this; its end is about to be told. */
	if (child_is_over(&attempt->process->child))
		attempt->timed_out = attempt->cancelled = false;
	else
		child_signal(&attempt->process->child, SIGTERM);
}

static void kill_group(struct attempt *attempt) { child_signal(&attempt->process->child, SIGKILL); }

static void tick(struct attempt *attempt)
{
	struct process *process = attempt->process;
	const char *tail;
	size_t len;

	read_output(process);
	if (!process->output.grew)
		return;
	tail = output_tail(&process->output, &len);
	attempt->callbacks->output(attempt->data, tail, len);
}

/* Its child is dead already: children_close. */
static void drop(struct attempt *attempt) { process_free(attempt->process); }

#define PROCESS_KIND .wants_results = true, .term = term, .kill = kill_group, .tick = tick, .drop = drop

const struct kind kind_exec = {.name = "exec", .takes_argv = true, .start = start_exec, PROCESS_KIND};
const struct kind kind_replay = {.name = "replay", .start = start_replay, PROCESS_KIND};
const struct kind kind_command = {.name = "command", .start = start_command, PROCESS_KIND};
