/* Runner children, good and odd ones, and C plugins. What they run is built beside the tests (FLOTILLA_BUILD). */
#include "exec_lab.h"

#include <signal.h>
#include <sys/wait.h>

#include "exec/internal.h"

static struct lab *open_lab(const char *more)
{
	const char *build = getenv("FLOTILLA_BUILD");
	struct lab *lab = malloc(sizeof *lab);
	struct buf text = BUF_INIT;
	struct err err = {0};

	cr_assert(build != NULL, "FLOTILLA_BUILD is not set: run the tests by tests/run");
	lab_make_dir(lab);
	buf_addf(&text, "%s/bin/flotilla-runner", build);
	setenv("FLOTILLA_RUNNER", text.data, 1);
	buf_release(&text);
	buf_addf(&text,
		 "handlers:\n"
		 "  odd: { runner: [\"%s/tests/programs/odd_runner\"], processes: %s }\n"
		 "  mute: { runner: [\"%s/tests/programs/odd_runner\", mute] }\n"
		 "  rude: { runner: [\"%s/tests/programs/odd_runner\", rude] }\n"
		 "  gone: { runner: [no-such-runner] }\n"
		 "  words: { plugin: \"%s/tests/plugins/words.so\" }\n"
		 "  broken: { plugin: \"handlers.yaml\" }\n",
		 build, more ? more : "1", build, build, build);
	cr_assert(lab_try_open(lab, text.data, false, &err) == 0, "%s", err.text);
	buf_release(&text);
	return lab;
}

static struct trial *order(struct lab *lab, const char *what, const char *more)
{
	struct buf spec = BUF_INIT;
	struct trial *trial;

	buf_addf(&spec, "{\"task\":\"odd\",\"args\":\"%s\"%s}", what, more ? more : "");
	trial = lab_start(lab, spec.data);
	buf_release(&spec);
	return trial;
}

static void expect(struct lab *lab, struct trial *trial, enum job_reason reason, const char *words)
{
	lab_until(lab, &trial->ended);
	expect_reason(trial, reason);
	cr_assert(strstr(trial->error, words) != NULL, "%s", trial->error);
	trial_free(trial);
}

static long run_pid(struct lab *lab)
{
	struct trial *trial = order(lab, "pid", NULL);
	long pid;

	lab_until(lab, &trial->ended);
	cr_assert(trial->succeeded, "%s", trial->error);
	pid = strtol(trial->result, NULL, 10);
	trial_free(trial);
	return pid;
}

Test(exec_runner, jobs_share_a_process)
{
	struct lab *lab = open_lab(NULL);
	long pid = run_pid(lab);

	cr_assert(pid > 1);
	cr_assert(run_pid(lab) == pid);
	lab_close(lab);
	cr_assert(kill((pid_t)pid, 0) < 0);
}

Test(exec_runner, output_and_progress)
{
	struct lab *lab = open_lab(NULL);
	struct trial *trial = order(lab, "talk", NULL);

	lab_until(lab, &trial->ended);
	cr_assert(trial->succeeded, "%s", trial->error);
	cr_assert_str_eq(trial->output, "to stderr\n");
	cr_assert_str_eq(trial->progress, "half way");
	cr_assert(!trial->result && trial->exit_code == -1);
	trial_free(trial);
	lab_close(lab);
}

Test(exec_runner, death_fails_the_job_it_had_and_no_other, .timeout = 60)
{
	struct lab *lab = open_lab("2");
	struct trial *crash = order(lab, "crash", NULL);
	struct trial *other = order(lab, "pid", NULL);
	struct trial *third = order(lab, "pid", NULL);

	expect(lab, crash, JOB_REASON_SIGNAL, "signal");
	lab_until(lab, &other->ended);
	lab_until(lab, &third->ended);
	cr_assert(other->succeeded && third->succeeded);
	trial_free(other);
	trial_free(third);
	expect(lab, order(lab, "exit", NULL), JOB_REASON_EXIT, "exit status 7");
	cr_assert(run_pid(lab) > 1);
	lab_close(lab);
}

Test(exec_runner, an_answer_before_the_end_counts)
{
	struct lab *lab = open_lab(NULL);
	struct trial *trial = order(lab, "answer and exit", NULL);

	lab_until(lab, &trial->ended);
	cr_assert(trial->succeeded, "%s", trial->error);
	cr_assert_str_eq(trial->result, "\"last words\"");
	trial_free(trial);
	cr_assert(run_pid(lab) > 1);
	lab_close(lab);
}

/* The runner answers and is dead before the loop hears of either; another job waits for it. */
static struct lab *open_with_dead(struct trial **dead, struct trial **next)
{
	struct lab *lab = open_lab(NULL);
	siginfo_t info;

	*dead = order(lab, "answer and exit", NULL);
	*next = order(lab, "pid", NULL);
	cr_assert(waitid(P_ALL, 0, &info, WEXITED | WNOWAIT) == 0);
	return lab;
}

static void expect_both(struct lab *lab, struct trial *dead, struct trial *next)
{
	lab_until(lab, &dead->ended);
	cr_assert(dead->succeeded, "%s", dead->error);
	lab_until(lab, &next->ended);
	cr_assert(next->succeeded, "%s", next->error);
	trial_free(dead);
	trial_free(next);
	lab_close(lab);
}

Test(exec_runner, a_job_for_the_dead_goes_to_another)
{
	struct trial *dead, *next;
	struct lab *lab = open_with_dead(&dead, &next);

	expect_both(lab, dead, next);
}

/* The end of another child can tell of this one's before its answer has been read. */
Test(exec_runner, an_answer_read_at_the_end_frees_no_runner)
{
	struct trial *dead, *next;
	struct lab *lab = open_with_dead(&dead, &next);
	uv_signal_t *sigchld = &lab->executor->children.sigchld;

	sigchld->signal_cb(sigchld, SIGCHLD);
	expect_both(lab, dead, next);
}

Test(exec_runner, garbage_kills_it, .timeout = 60)
{
	struct lab *lab = open_lab(NULL);

	expect(lab, order(lab, "print", NULL), JOB_REASON_ERROR, "standard output");
	expect(lab, order(lab, "not msgpack", NULL), JOB_REASON_ERROR, "MessagePack");
	expect(lab, order(lab, "binary", NULL), JOB_REASON_ERROR, "MessagePack");
	expect(lab, order(lab, "another seq", NULL), JOB_REASON_ERROR, "a job that it does not have");
	expect(lab, order(lab, "half", NULL), JOB_REASON_EXIT, "exit status 0");
	expect(lab, order(lab, "hang up", NULL), JOB_REASON_ERROR, "closed");
	expect(lab, order(lab, "big", NULL), JOB_REASON_RESULT, "64 KiB");
	cr_assert(run_pid(lab) > 1);
	lab_close(lab);
}

Test(exec_runner, refusal_and_bad_start, .timeout = 60)
{
	struct lab *lab = open_lab(NULL);

	expect(lab, order(lab, "refuse", NULL), JOB_REASON_BAD_ARGUMENT, "wrong input");
	expect(lab, lab_start(lab, "{\"task\":\"mute\"}"), JOB_REASON_EXIT, "exit status 5");
	expect(lab, lab_start(lab, "{\"task\":\"rude\"}"), JOB_REASON_ERROR, "hello");
	expect(lab, lab_start(lab, "{\"task\":\"gone\"}"), JOB_REASON_ERROR, "no-such-runner");
	lab_close(lab);
}

Test(exec_runner, cancel_is_said_first)
{
	struct lab *lab = open_lab(NULL);
	long pid = run_pid(lab);
	struct trial *trial = order(lab, "until cancelled", NULL);

	exec_stop(trial->attempt, EXEC_STOP_CANCEL);
	expect(lab, trial, JOB_REASON_CANCELLED, "cancelled");
	cr_assert(run_pid(lab) == pid, "it was killed though it obeyed");
	lab_close(lab);
}

Test(exec_runner, timeout_kills_after_5_s, .timeout = 60)
{
	struct lab *lab = open_lab(NULL);
	int64_t start = clock_mono_ms();

	expect(lab, order(lab, "hang", ",\"timeout_ms\":100"), JOB_REASON_TIMEOUT, "100 ms");
	cr_assert(clock_mono_ms() - start >= 5000);
	cr_assert(run_pid(lab) > 1);
	lab_close(lab);
}

Test(exec_runner, those_who_wait_can_be_cancelled)
{
	struct lab *lab = open_lab(NULL);
	struct trial *first = order(lab, "hang", NULL);
	struct trial *second = order(lab, "hang", NULL);

	exec_stop(second->attempt, EXEC_STOP_CANCEL);
	cr_assert(second->ended);
	expect(lab, second, JOB_REASON_CANCELLED, "cancelled");
	second = order(lab, "pid", NULL);
	exec_stop(first->attempt, EXEC_STOP_KILL);
	expect(lab, first, JOB_REASON_CANCELLED, "cancelled");
	lab_until(lab, &second->ended);
	cr_assert(second->succeeded);
	trial_free(second);
	lab_close(lab);
}

Test(exec_runner, closing_with_jobs_under_way)
{
	struct lab *lab = open_lab(NULL);
	struct trial *first = order(lab, "hang", NULL);
	struct trial *second = order(lab, "hang", NULL);

	lab_close(lab);
	cr_assert(!first->ended && !second->ended);
	trial_free(first);
	trial_free(second);
}

Test(exec_runner, plugin)
{
	struct lab *lab = open_lab(NULL);
	struct trial *trial = lab_run(lab, "{\"id\":\"w\",\"task\":\"words\",\"args\":\"one two three\"}");

	cr_assert(trial->succeeded, "%s %s", trial->error, trial->output);
	cr_assert_str_eq(trial->result, "{\"words\":3}");
	cr_assert_str_eq(trial->output, "counting the words of job w\n");
	cr_assert_str_eq(trial->progress, "counting");
	trial_free(trial);
	expect(lab, lab_start(lab, "{\"task\":\"words\",\"args\":5}"), JOB_REASON_BAD_ARGUMENT, "not 5");
	expect(lab, lab_start(lab, "{\"task\":\"broken\"}"), JOB_REASON_EXIT, "exit status 2");
	lab_close(lab);
}
