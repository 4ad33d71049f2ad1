/* noop, fail, sleep, and what the executor says of its tasks. */
#include "exec_lab.h"

static void expect(struct lab *lab, const char *spec, enum job_reason reason, const char *words)
{
	struct trial *trial = lab_run(lab, spec);

	expect_reason(trial, reason);
	cr_assert(!trial->succeeded);
	cr_assert(strstr(trial->error, words) != NULL, "%s: %s", spec, trial->error);
	trial_free(trial);
}

Test(exec_builtin, noop_returns_its_args_at_once)
{
	struct lab *lab = lab_open(NULL);
	struct trial *trial = lab_start(lab, "{\"task\":\"noop\",\"args\":{\"a\":[1,null,\"é\"]}}");

	cr_assert(trial->ended && trial->succeeded);
	cr_assert(!trial->started);
	cr_assert_str_eq(trial->result, "{\"a\":[1,null,\"é\"]}");
	trial_free(trial);
	trial = lab_start(lab, "{\"task\":\"noop\"}");
	cr_assert(trial->succeeded && !trial->result);
	trial_free(trial);
	lab_close(lab);
}

Test(exec_builtin, fail)
{
	struct lab *lab = lab_open(NULL);

	expect(lab, "{\"task\":\"fail\",\"args\":{\"message\":\"no luck\"}}", JOB_REASON_ERROR, "no luck");
	expect(lab, "{\"task\":\"fail\"}", JOB_REASON_ERROR, "failed");
	expect(lab, "{\"task\":\"fail\",\"args\":{\"message\":1}}", JOB_REASON_BAD_ARGUMENT, "message");
	expect(lab, "{\"task\":\"fail\",\"args\":[]}", JOB_REASON_BAD_ARGUMENT, "message");
	lab_close(lab);
}

Test(exec_builtin, sleep)
{
	struct lab *lab = lab_open(NULL);
	int64_t start = clock_mono_ms();
	struct trial *trial = lab_run(lab, "{\"task\":\"sleep\",\"args\":{\"ms\":120}}");

	cr_assert(trial->succeeded);
	cr_assert(clock_mono_ms() - start >= 119);
	trial_free(trial);
	expect(lab, "{\"task\":\"sleep\"}", JOB_REASON_BAD_ARGUMENT, "ms");
	expect(lab, "{\"task\":\"sleep\",\"args\":{\"ms\":-1}}", JOB_REASON_BAD_ARGUMENT, "ms");
	expect(lab, "{\"task\":\"sleep\",\"args\":{\"ms\":\"1\"}}", JOB_REASON_BAD_ARGUMENT, "ms");
	expect(lab, "{\"task\":\"sleep\",\"args\":{\"ms\":1e300}}", JOB_REASON_BAD_ARGUMENT, "ms");
	expect(lab, "{\"task\":\"sleep\",\"args\":{\"ms\":1,\"s\":2}}", JOB_REASON_BAD_ARGUMENT, "ms");
	expect(lab, "{\"task\":\"sleep\",\"args\":{\"ms\":60000},\"timeout_ms\":50}", JOB_REASON_TIMEOUT, "50 ms");
	lab_close(lab);
}

Test(exec_builtin, sleep_can_be_cancelled)
{
	struct lab *lab = lab_open(NULL);
	struct trial *trial = lab_start(lab, "{\"task\":\"sleep\",\"args\":{\"ms\":60000}}");

	exec_stop(trial->attempt, EXEC_STOP_CANCEL);
	cr_assert(trial->ended);
	expect_reason(trial, JOB_REASON_CANCELLED);
	trial_free(trial);
	trial = lab_start(lab, "{\"task\":\"sleep\",\"args\":{\"ms\":60000}}");
	exec_stop(trial->attempt, EXEC_STOP_KILL);
	expect_reason(trial, JOB_REASON_CANCELLED);
	trial_free(trial);
	trial = lab_start(lab, "{\"task\":\"sleep\",\"args\":{\"ms\":60000}}");
	lab_close(lab);
	trial_free(trial);
}

Test(exec_builtin, what_is_not_taken)
{
	struct lab *lab = lab_open(NULL);

	expect(lab, "{\"task\":\"noop\",\"argv\":[\"x\"]}", JOB_REASON_BAD_ARGUMENT, "argv");
	expect(lab, "{\"task\":\"noop\",\"env\":{\"A\":\"1\"}}", JOB_REASON_BAD_ARGUMENT, "A");
	expect(lab, "{\"task\":\"exec\"}", JOB_REASON_BAD_ARGUMENT, "argv");
	expect(lab, "{\"task\":\"nobody\"}", JOB_REASON_UNKNOWN_TASK, "handler");
	lab_close(lab);
}

Test(exec_builtin, tasks)
{
	struct lab *lab = lab_open("handlers:\n  beta: { command: [\"true\"], retries: 3 }\n");
	struct lab closed;
	struct err err;

	cr_assert_str_eq(executor_tasks(lab->executor), "beta,exec,fail,noop,replay,sleep");
	cr_assert(executor_knows(lab->executor, "beta") == EXEC_KNOWN);
	cr_assert(executor_knows(lab->executor, "gamma") == EXEC_UNKNOWN);
	cr_assert(executor_retries(lab->executor, "beta") == 3);
	cr_assert(executor_retries(lab->executor, "noop") == -1);
	cr_assert(executor_wants_results(lab->executor, "beta"));
	cr_assert(!executor_wants_results(lab->executor, "noop"));
	cr_assert(executor_instant(lab->executor, "fail"));
	cr_assert(!executor_instant(lab->executor, "sleep"));
	lab_close(lab);

	lab_make_dir(&closed);
	cr_assert(lab_try_open(&closed, NULL, false, &err) == 0);
	cr_assert_str_eq(executor_tasks(closed.executor), "fail,noop,replay,sleep");
	cr_assert(executor_knows(closed.executor, "exec") == EXEC_NOT_ALLOWED);
	expect(&closed, "{\"task\":\"exec\",\"argv\":[\"true\"]}", JOB_REASON_NOT_ALLOWED, "--allow-exec");
	executor_close(closed.executor);
	uv_run(&closed.loop, UV_RUN_DEFAULT);
	cr_assert(uv_loop_close(&closed.loop) == 0);
	nftw(closed.dir, lab_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}
