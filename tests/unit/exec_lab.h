/* An executor on a loop of its own, in a temporary directory, for the tests of consumer/exec. */
#ifndef FLOTILLA_TESTS_UNIT_EXEC_LAB_H
#define FLOTILLA_TESTS_UNIT_EXEC_LAB_H

#include <criterion/criterion.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "exec/exec.h"
#include "job/json.h"
#include "scratch.h"

#define LAB_LIMIT_MS 20000

struct lab {
	uv_loop_t loop;
	struct executor *executor;
	char dir[SCRATCH_SIZE];
};

/* One job, and what became of it. */
struct trial {
	struct job job;
	struct attempt *attempt;
	bool started, ended, succeeded;
	enum job_reason reason;
	int exit_code;
	char *error, *result, *output, *dir, *progress;
	struct buf outputs; /* the last that was reported while it ran */
	int output_reports;
};

static inline char *lab_path(const struct lab *lab, const char *name)
{
	struct buf path = BUF_INIT;
	buf_addf(&path, "%s/%s", lab->dir, name);
	return buf_detach(&path);
}

static inline void lab_write(const struct lab *lab, const char *name, const char *text, int mode)
{
	char *path = lab_path(lab, name);
	FILE *file = fopen(path, "w");
	cr_assert(file != NULL);
	fputs(text, file);
	fclose(file);
	cr_assert(chmod(path, (mode_t)mode) == 0);
	free(path);
}

/* NULL where there is none; to free. */
static inline char *lab_read(const char *dir, const char *name)
{
	struct buf path = BUF_INIT, text = BUF_INIT;
	char chunk[4096];
	size_t got;
	FILE *file;

	buf_addf(&path, "%s/%s", dir, name);
	file = fopen(path.data, "r");
	buf_release(&path);
	if (!file)
		return NULL;
	while ((got = fread(chunk, 1, sizeof chunk, file)) > 0)
		buf_add(&text, chunk, got);
	fclose(file);
	return buf_detach(&text);
}

static inline void lab_make_dir(struct lab *lab)
{
	memset(lab, 0, sizeof *lab);
	scratch_dir(lab->dir, "flotilla-exec");
	uv_loop_init(&lab->loop);
}

static inline int lab_try_open(struct lab *lab, const char *handlers, bool allow_exec, struct err *err)
{
	char *work = lab_path(lab, "work");
	char *file = handlers ? lab_path(lab, "handlers.yaml") : NULL;
	struct exec_options options = {.handlers_file = file,
				       .work_dir = work,
				       .pool = "default",
				       .allow_exec = allow_exec,
				       .keep_dirs_ms = 3600000,
				       .keep_failed_dirs_ms = 7200000,
				       .amqp_url = "amqp://a",
				       .redis_url = "redis://r",
				       .prefix = "fleet"};
	int r;

	if (handlers)
		lab_write(lab, "handlers.yaml", handlers, 0644);
	r = executor_open(&lab->loop, &options, &lab->executor, err);
	free(work);
	free(file);
	return r;
}

static inline struct lab *lab_open(const char *handlers)
{
	struct lab *lab = malloc(sizeof *lab);
	struct err err = {0};

	lab_make_dir(lab);
	cr_assert(lab_try_open(lab, handlers, true, &err) == 0, "%s", err.text);
	return lab;
}

static inline int lab_remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

static inline void lab_close(struct lab *lab)
{
	if (lab->executor)
		executor_close(lab->executor);
	uv_run(&lab->loop, UV_RUN_DEFAULT);
	cr_assert(uv_loop_close(&lab->loop) == 0, "handles are left open");
	nftw(lab->dir, lab_remove_one, 16, FTW_DEPTH | FTW_PHYS);
	free(lab);
}

static inline void lab_on_started(void *data, const char *dir)
{
	struct trial *trial = data;
	trial->started = true;
	trial->dir = xstrdup(dir);
}

static inline void lab_on_output(void *data, const char *tail, size_t len)
{
	struct trial *trial = data;
	trial->output_reports++;
	buf_reset(&trial->outputs);
	buf_add(&trial->outputs, tail, len);
}

static inline void lab_on_progress(void *data, const char *text)
{
	struct trial *trial = data;
	free(trial->progress);
	trial->progress = xstrdup(text);
}

static inline void lab_on_ended(void *data, const struct outcome *outcome)
{
	struct trial *trial = data;

	cr_assert(!trial->ended, "it ended twice");
	trial->ended = true;
	trial->attempt = NULL;
	trial->succeeded = outcome->succeeded;
	trial->reason = outcome->reason;
	trial->exit_code = outcome->exit_code;
	trial->error = outcome->error ? xstrdup(outcome->error) : NULL;
	trial->result = outcome->result ? xstrdup(outcome->result) : NULL;
	trial->output = xmemdup0(outcome->output, outcome->output_len);
}

static const struct exec_callbacks lab_callbacks = {
	.started = lab_on_started, .output = lab_on_output, .progress = lab_on_progress, .ended = lab_on_ended};

/* Starts a job given as JSON. */
static inline struct trial *lab_start(struct lab *lab, const char *spec)
{
	struct trial *trial = calloc(1, sizeof *trial);
	struct job_message message = {.body = spec,
				      .body_len = strlen(spec),
				      .content_type = "application/json",
				      .pool = "default",
				      .priority = "normal"};
	struct exec_request request = {.job = &trial->job,
				       .attempt = 1,
				       .results = "{\"before\":[1,\"x\"]}",
				       .results_missing = "[\"big\"]",
				       .callbacks = &lab_callbacks,
				       .data = trial};
	struct attempt *attempt = NULL;
	struct err err = {0};

	cr_assert(job_decode(&trial->job, &message, &job_limits_default, &err) == 0, "%s", err.text);
	if (!trial->job.id)
		job_make_id(&trial->job);
	cr_assert(exec_start(lab->executor, &request, &attempt, &err) == 0, "%s", err.text);
	if (!trial->ended)
		trial->attempt = attempt;
	return trial;
}

static inline void lab_on_limit(uv_timer_t *timer) { *(bool *)timer->data = true; }

/* Runs the loop until `*flag`; fails after LAB_LIMIT_MS. */
static inline void lab_until(struct lab *lab, const bool *flag)
{
	uv_timer_t timer;
	bool over = false;

	uv_timer_init(&lab->loop, &timer);
	timer.data = &over;
	uv_timer_start(&timer, lab_on_limit, LAB_LIMIT_MS, 0);
	while (!*flag && !over)
		uv_run(&lab->loop, UV_RUN_ONCE);
	uv_close((uv_handle_t *)&timer, NULL);
	uv_run(&lab->loop, UV_RUN_NOWAIT);
	cr_assert(!over, "what was waited for did not come");
}

static inline struct trial *lab_run(struct lab *lab, const char *spec)
{
	struct trial *trial = lab_start(lab, spec);
	lab_until(lab, &trial->ended);
	return trial;
}

/* Runs the loop until there is a file of that name in the job's directory. */
static inline void lab_until_file(struct lab *lab, const struct trial *trial, const char *name)
{
	int64_t limit = clock_mono_ms() + LAB_LIMIT_MS;
	struct buf path = BUF_INIT;

	buf_addf(&path, "%s/%s", trial->dir, name);
	while (access(path.data, F_OK) < 0) {
		cr_assert(clock_mono_ms() < limit, "%s did not come", name);
		uv_run(&lab->loop, UV_RUN_NOWAIT);
		usleep(1000);
	}
	buf_release(&path);
}

static inline void trial_free(struct trial *trial)
{
	job_release(&trial->job);
	free(trial->error);
	free(trial->result);
	free(trial->output);
	free(trial->dir);
	free(trial->progress);
	buf_release(&trial->outputs);
	free(trial);
}

#define expect_reason(trial, expected)                                                                                 \
	cr_assert((trial)->reason == (expected), "reason \"%s\", error %s", job_reason_name((trial)->reason),          \
		  (trial)->error ? (trial)->error : "none")

#endif
