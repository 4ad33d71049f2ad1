/* Real processes, started by the executor. */
#include "exec_lab.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static void script_spec(struct buf *spec, const char *script, const char *more)
{
	buf_adds(spec, "{\"id\":\"j/1\",\"task\":\"exec\",\"argv\":[\"sh\",\"-c\",");
	json_add_string(spec, script, strlen(script));
	buf_addf(spec, "]%s}", more ? more : "");
}

static struct trial *start_script(struct lab *lab, const char *script, const char *more)
{
	struct buf spec = BUF_INIT;
	struct trial *trial;

	script_spec(&spec, script, more);
	trial = lab_start(lab, spec.data);
	buf_release(&spec);
	return trial;
}

static struct trial *run_script(struct lab *lab, const char *script, const char *more)
{
	struct trial *trial = start_script(lab, script, more);
	lab_until(lab, &trial->ended);
	return trial;
}

static void finish(struct lab *lab, struct trial *trial)
{
	trial_free(trial);
	lab_close(lab);
}

/* A process is gone, or a zombie that nobody has reaped yet. */
static bool is_dead(pid_t pid)
{
	char path[64];
	char *text;
	bool dead;

	snprintf(path, sizeof path, "/proc/%d", (int)pid);
	text = lab_read(path, "stat");
	dead = !text || !strrchr(text, ')') || strrchr(text, ')')[2] == 'Z' || strrchr(text, ')')[2] == 'X';
	free(text);
	return dead;
}

static void expect_dies(pid_t pid)
{
	int64_t limit = clock_mono_ms() + LAB_LIMIT_MS;
	while (!is_dead(pid)) {
		cr_assert(clock_mono_ms() < limit, "process %d lives on", (int)pid);
		usleep(1000);
	}
}

static pid_t read_pid(const struct trial *trial, const char *name)
{
	char *text = lab_read(trial->dir, name);
	pid_t pid = (pid_t)strtol(text ? text : "0", NULL, 10);
	free(text);
	cr_assert(pid > 1);
	return pid;
}

Test(exec_process, success_leaves_files)
{
	struct lab *lab = lab_open(NULL);
	struct trial *trial = run_script(lab, "echo out; echo err >&2; echo '{ \"a\": [1, 2.5] }' > result", NULL);
	char *text;

	cr_assert(trial->succeeded, "%s", trial->error);
	expect_reason(trial, JOB_REASON_NONE);
	cr_assert_str_eq(trial->result, "{\"a\":[1,2.5]}");
	cr_assert_str_eq(trial->output, "out\nerr\n");
	cr_assert(trial->exit_code == 0);
	cr_assert(strstr(trial->dir, "/work/default-1"));
	text = lab_read(trial->dir, "stdout");
	cr_assert_str_eq(text, "out\n");
	free(text);
	text = lab_read(trial->dir, "stderr");
	cr_assert_str_eq(text, "err\n");
	free(text);
	text = lab_read(trial->dir, "profile.json");
	cr_assert(strstr(text, "{\"exit_code\":0,\"signal\":null,\"wall_ms\":"));
	cr_assert(strstr(text, "\"max_rss_kib\":"));
	free(text);
	finish(lab, trial);
}

Test(exec_process, job_json_is_there_at_start)
{
	struct lab *lab = lab_open(NULL);
	struct trial *trial = run_script(lab, "cat job.json", ",\"args\":{\"k\":[null,true]},\"labels\":{\"a\":\"b\"}");

	cr_assert(trial->succeeded, "%s", trial->error);
	cr_assert(strstr(trial->output, "\"id\":\"j/1\",\"pool\":\"default\",\"priority\":\"normal\""), "%s",
		  trial->output);
	cr_assert(strstr(trial->output, "\"args\":{\"k\":[null,true]}"));
	cr_assert(strstr(trial->output, "\"attempt\":1,\"handler\":\"exec\",\"results\":{\"before\":[1,\"x\"]},"
					"\"results_missing\":[\"big\"]}"));
	cr_assert_null(trial->result);
	finish(lab, trial);
}

Test(exec_process, exit_status)
{
	struct lab *lab = lab_open(NULL);
	struct trial *trial = run_script(lab, "echo why >&2; exit 3", NULL);

	expect_reason(trial, JOB_REASON_EXIT);
	cr_assert(trial->exit_code == 3);
	cr_assert_str_eq(trial->error, "exit status 3");
	cr_assert_str_eq(trial->output, "why\n");
	finish(lab, trial);
}

Test(exec_process, signal)
{
	struct lab *lab = lab_open(NULL);
	struct trial *trial = run_script(lab, "kill -SEGV $$", NULL);

	expect_reason(trial, JOB_REASON_SIGNAL);
	cr_assert(trial->exit_code == -1);
	cr_assert(strstr(trial->error, "signal 11"));
	finish(lab, trial);
}

Test(exec_process, no_such_program)
{
	struct lab *lab = lab_open(NULL);
	struct trial *trial = lab_run(lab, "{\"task\":\"exec\",\"argv\":[\"no-such-program\"]}");

	expect_reason(trial, JOB_REASON_ERROR);
	cr_assert(strstr(trial->error, "no-such-program"));
	trial_free(trial);
	trial = lab_run(lab, "{\"task\":\"exec\",\"argv\":[\"/etc/passwd\"]}");
	expect_reason(trial, JOB_REASON_ERROR);
	cr_assert(strstr(trial->error, "/etc/passwd"));
	trial_free(trial);
	trial = lab_run(lab, "{\"task\":\"exec\",\"argv\":[\"\"]}");
	expect_reason(trial, JOB_REASON_ERROR);
	finish(lab, trial);
}

Test(exec_process, results_that_are_none)
{
	static const struct {
		const char *script, *words;
	} rows[] = {
		{"echo '{\"a\":' > result", "not JSON"},
		{": > result", "not JSON"},
		{"echo '1 2' > result", "not JSON"},
		{"echo '{\"a\":1,\"a\":2}' > result", "not JSON"},
		{"ln -s /etc/passwd result", "plain file"},
		{"mkfifo result", "plain file"},
		{"mkdir result", "plain file"},
		{"printf '\"%070000d\"' 1 > result", "64 KiB"},
	};
	struct lab *lab = lab_open(NULL);

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct trial *trial = run_script(lab, rows[i].script, NULL);
		expect_reason(trial, JOB_REASON_RESULT);
		cr_assert(strstr(trial->error, rows[i].words), "%s: %s", rows[i].script, trial->error);
		cr_assert(!trial->succeeded);
		trial_free(trial);
	}
	lab_close(lab);
}

Test(exec_process, null_result_is_none)
{
	struct lab *lab = lab_open(NULL);
	struct trial *trial = run_script(lab, "echo null > result", NULL);

	cr_assert(trial->succeeded);
	cr_assert_null(trial->result);
	finish(lab, trial);
}

Test(exec_process, timeout_kills_the_group)
{
	struct lab *lab = lab_open(NULL);
	struct trial *trial = run_script(lab, "sleep 600 & echo $! > grandchild; sleep 600", ",\"timeout_ms\":300");

	expect_reason(trial, JOB_REASON_TIMEOUT);
	cr_assert(strstr(trial->error, "300 ms"), "%s", trial->error);
	expect_dies(read_pid(trial, "grandchild"));
	finish(lab, trial);
}

Test(exec_process, exit_0_after_a_timeout_is_a_timeout)
{
	struct lab *lab = lab_open(NULL);
	struct trial *trial =
		run_script(lab, "trap 'exit 0' TERM; while :; do sleep 0.01; done", ",\"timeout_ms\":200");

	expect_reason(trial, JOB_REASON_TIMEOUT);
	finish(lab, trial);
}

Test(exec_process, sigkill_when_sigterm_is_ignored, .timeout = 30)
{
	struct lab *lab = lab_open(NULL);
	int64_t start = clock_mono_ms();
	struct trial *trial = run_script(lab, "trap '' TERM; while :; do sleep 0.05; done", ",\"timeout_ms\":100");

	expect_reason(trial, JOB_REASON_TIMEOUT);
	cr_assert(clock_mono_ms() - start >= 5000);
	finish(lab, trial);
}

Test(exec_process, ends_though_a_grandchild_holds_the_output)
{
	struct lab *lab = lab_open(NULL);
	int64_t start = clock_mono_ms();
	struct trial *trial = run_script(lab, "sleep 600 & echo $! > grandchild; echo done", NULL);

	cr_assert(trial->succeeded);
	cr_assert(clock_mono_ms() - start < 10000);
	cr_assert_str_eq(trial->output, "done\n");
	expect_dies(read_pid(trial, "grandchild"));
	finish(lab, trial);
}

Test(exec_process, cancel)
{
	struct lab *lab = lab_open(NULL);
	struct trial *trial = start_script(lab, "touch up; sleep 600", NULL);

	lab_until_file(lab, trial, "up");
	exec_stop(trial->attempt, EXEC_STOP_CANCEL);
	lab_until(lab, &trial->ended);
	expect_reason(trial, JOB_REASON_CANCELLED);
	finish(lab, trial);
}

Test(exec_process, kill)
{
	struct lab *lab = lab_open(NULL);
	struct trial *trial = start_script(lab, "trap '' TERM; touch up; while :; do sleep 0.1; done", NULL);

	lab_until_file(lab, trial, "up");
	exec_stop(trial->attempt, EXEC_STOP_CANCEL);
	exec_stop(trial->attempt, EXEC_STOP_KILL);
	lab_until(lab, &trial->ended);
	expect_reason(trial, JOB_REASON_CANCELLED);
	finish(lab, trial);
}

Test(exec_process, a_success_before_the_cancel_stays)
{
	struct lab *lab = lab_open(NULL);
	struct trial *trial = start_script(lab, "exit 0", NULL);

	siginfo_t info;

	/* It is over, and the loop has not seen it. */
	cr_assert(waitid(P_ALL, 0, &info, WEXITED | WNOWAIT) == 0);
	exec_stop(trial->attempt, EXEC_STOP_CANCEL);
	exec_stop(trial->attempt, EXEC_STOP_KILL);
	lab_until(lab, &trial->ended);
	cr_assert(trial->succeeded);
	finish(lab, trial);
}

Test(exec_process, output_is_the_last_64_kib)
{
	struct lab *lab = lab_open(NULL);
	struct trial *trial = run_script(lab, "i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done", NULL);

	cr_assert(strlen(trial->output) == 65536);
	cr_assert(strstr(trial->output, "line 19999\n"));
	cr_assert(!strstr(trial->output, "line 10\n"));
	finish(lab, trial);
}

Test(exec_process, output_is_reported_while_it_runs)
{
	struct lab *lab = lab_open(NULL);
	struct trial *trial = start_script(lab, "echo first; sleep 600", NULL);
	int64_t limit = clock_mono_ms() + LAB_LIMIT_MS;

	while (trial->output_reports == 0 && clock_mono_ms() < limit) {
		uv_run(&lab->loop, UV_RUN_NOWAIT);
		usleep(5000);
	}
	cr_assert_str_eq(trial->outputs.data, "first\n");
	exec_stop(trial->attempt, EXEC_STOP_KILL);
	lab_until(lab, &trial->ended);
	cr_assert_str_eq(trial->output, "first\n");
	finish(lab, trial);
}

Test(exec_process, no_descriptor_of_the_worker)
{
	struct lab *lab = lab_open(NULL);
	int leak = open("/dev/zero", O_RDONLY);
	struct trial *trial = run_script(lab, "readlink /proc/self/fd/0; exec ls /proc/self/fd", NULL);

	/* 3 is the one that ls reads the directory with. */
	cr_assert_str_eq(trial->output, "/dev/null\n0\n1\n2\n3\n");
	cr_assert(leak > 2);
	close(leak);
	finish(lab, trial);
}

/* As a container's filter that is older than the call. */
static void forbid_close_range(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_close_range, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog program = {.len = sizeof code / sizeof *code, .filter = code};

	cr_assert(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	cr_assert(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0);
}

Test(exec_process, no_descriptor_of_the_worker_where_they_cannot_be_closed_together)
{
	struct rlimit few = {.rlim_cur = 256, .rlim_max = 256};
	struct lab *lab;
	struct trial *trial;

	cr_assert(setrlimit(RLIMIT_NOFILE, &few) == 0);
	lab = lab_open(NULL);
	cr_assert(open("/dev/zero", O_RDONLY) > 2);
	forbid_close_range();
	trial = run_script(lab, "exec ls /proc/self/fd", NULL);
	cr_assert_str_eq(trial->output, "0\n1\n2\n3\n");
	finish(lab, trial);
}

Test(exec_process, environment)
{
	struct lab *lab;
	struct trial *trial;

	setenv("FLOTILLA_SECRET", "s", 1);
	setenv("OWN", "worker", 1);
	lab = lab_open(NULL);
	trial = run_script(lab, "env; pwd", ",\"env\":{\"OWN\":\"job\"},\"run\":\"nightly-1\"");
	cr_assert(trial->succeeded, "%s", trial->error);
	cr_assert(strstr(trial->output, "OWN=job\n"));
	cr_assert(!strstr(trial->output, "OWN=worker"));
	cr_assert(!strstr(trial->output, "FLOTILLA_SECRET"));
	cr_assert(!strstr(trial->output, "FLOTILLA_AMQP_URL"));
	cr_assert(strstr(trial->output, "FLOTILLA_ID=j/1\n"));
	cr_assert(strstr(trial->output, "FLOTILLA_TASK=exec\n"));
	cr_assert(strstr(trial->output, "FLOTILLA_ATTEMPT=1\n"));
	cr_assert(strstr(trial->output, "FLOTILLA_RUN=nightly-1\n"));
	cr_assert(strstr(trial->output, "/work/default-1\n"));
	trial_free(trial);
	trial = run_script(lab, "env", ",\"env\":{\"FLOTILLA_REDIS_URL\":\"redis://elsewhere\"}");
	expect_reason(trial, JOB_REASON_BAD_ARGUMENT);
	cr_assert(strstr(trial->error, "FLOTILLA_REDIS_URL"), "%s", trial->error);
	finish(lab, trial);
}

Test(exec_process, signals_are_as_usual_in_the_child)
{
	struct lab *lab = lab_open(NULL);
	struct trial *trial;

	signal(SIGPIPE, SIG_IGN);
	trial = run_script(lab, "grep -E '^Sig(Blk|Ign)' /proc/self/status", NULL);
	/* signals 32 and 33 are the C library's own, and may be ignored by whoever started the tests: nobody can reset
	 * them */
	cr_assert(strstr(trial->output, "SigBlk:\t0000000000000000\n"), "%s", trial->output);
	cr_assert(strstr(trial->output, "SigIgn:\t"), "%s", trial->output);
	cr_assert_eq(strtoull(strstr(trial->output, "SigIgn:\t") + 8, NULL, 16) & ~0x180000000ULL, 0, "%s",
		     trial->output);
	finish(lab, trial);
}

Test(exec_process, many_at_once, .timeout = 60)
{
	enum { COUNT = 100 };
	struct lab *lab = lab_open(NULL);
	struct trial *trials[COUNT];

	for (int i = 0; i < COUNT; i++)
		trials[i] = start_script(lab, "exit 0", NULL);
	for (int i = 0; i < COUNT; i++) {
		lab_until(lab, &trials[i]->ended);
		cr_assert(trials[i]->succeeded, "%s", trials[i]->error);
		trial_free(trials[i]);
	}
	lab_close(lab);
}

Test(exec_process, closing_kills_what_runs)
{
	struct lab *lab = lab_open(NULL);
	struct trial *trial = start_script(lab, "echo $$ > pid.new; mv pid.new pid; sleep 600", NULL);
	pid_t pid;

	lab_until_file(lab, trial, "pid");
	pid = read_pid(trial, "pid");
	executor_close(lab->executor);
	lab->executor = NULL;
	cr_assert(kill(pid, 0) < 0 && errno == ESRCH);
	cr_assert(!trial->ended);
	finish(lab, trial);
}

/* What a killed worker's job left running is killed with it. */
Test(exec_process, dies_with_the_worker)
{
	struct lab *lab = malloc(sizeof *lab);
	struct trial trial = {0};
	int64_t limit = clock_mono_ms() + LAB_LIMIT_MS;
	struct err err;
	pid_t worker, job;
	char *pid_file;

	lab_make_dir(lab);
	worker = fork();
	if (worker == 0) {
		uv_loop_fork(&lab->loop);
		if (lab_try_open(lab, NULL, true, &err) == 0)
			start_script(lab, "echo $$ > pid.new; mv pid.new pid; exec sleep 600", NULL);
		uv_run(&lab->loop, UV_RUN_DEFAULT);
		_exit(1);
	}
	trial.dir = lab_path(lab, "work/default-1");
	pid_file = lab_path(lab, "work/default-1/pid");
	while (access(pid_file, F_OK) < 0 && clock_mono_ms() < limit)
		usleep(1000);
	job = read_pid(&trial, "pid");
	cr_assert(!is_dead(job));
	kill(worker, SIGKILL);
	cr_assert(waitpid(worker, NULL, 0) == worker);
	expect_dies(job);
	free(pid_file);
	free(trial.dir);
	lab_close(lab);
}

Test(exec_process, directories_count_up_over_others)
{
	struct lab *lab = lab_open(NULL);
	char *taken = lab_path(lab, "work/default-1");
	struct trial *trial;

	cr_assert(mkdir(taken, 0700) == 0);
	trial = run_script(lab, "exit 0", NULL);
	cr_assert(strstr(trial->dir, "/default-2"));
	free(taken);
	finish(lab, trial);
}
