#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "commands.h"
#include "out.h"
#include "run.h"

enum { OPT_NAME = 0x1000, OPT_SET, OPT_REPLAY, OPT_FACTOR, OPT_DIR, OPT_DETACH, OPT_JSON };

static const struct argp_option options_[] = {
	{"name", OPT_NAME, "RUN", 0, "the run's name (default: the file's name and a counter)", 0},
	{"set", OPT_SET, "NAME=VALUE", 0, "fills a placeholder; the value is read as YAML; may be repeated", 0},
	{"replay", OPT_REPLAY, "SCALE", 0, "for recorded workflows: recorded run time times SCALE", 0},
	{"file-factor", OPT_FACTOR, "F", 0, "with --replay: recorded file sizes times F (default: 0.001)", 0},
	{"shared-dir", OPT_DIR, "DIR", 0,
	 "with --replay: where the files are, for all workers (default: flotilla-runs/RUN)", 0},
	{"dry-run", 'n', 0, 0, "check the file, print its jobs and submit nothing", 0},
	{"detach", OPT_DETACH, 0, 0, "print the run's name and do not wait", 0},
	{"json", OPT_JSON, 0, 0, "the summary as one JSON document", 0},
	{0},
};

struct options {
	const char *name, *shared_dir;
	struct texts sets;
	double replay, factor;
	bool dry_run, detach, json;
};

static void release(void *data) { texts_release(&((struct options *)data)->sets); }

static int take(void *data, int key, const char *value, struct err *err)
{
	struct options *options = data;

	switch (key) {
	case OPT_NAME: options->name = value; return check_id(value, err);
	case OPT_SET: texts_add(&options->sets, value); return 0;
	case OPT_REPLAY: return take_positive(value, &options->replay, err);
	case OPT_FACTOR: return take_positive(value, &options->factor, err);
	case OPT_DIR: options->shared_dir = value; return 0;
	case 'n': options->dry_run = true; return 0;
	case OPT_DETACH: options->detach = true; return 0;
	case OPT_JSON: options->json = true; return 0;
	}
	return 0;
}

static int load(const struct app *app, const struct options *options, struct workflow *ret, struct err *err)
{
	const struct workflow_options reading = {.sets = options->sets.at,
						 .set_count = options->sets.count,
						 .replay = options->replay,
						 .file_factor = options->factor,
						 .limits = &app->limits};

	if (workflow_load(app->args[0], &reading, ret, err) == 0)
		return 0;
	/* a file that is not there is bad usage here: 4 is for jobs */
	return err->code == ERR_NOT_FOUND ? (err->code = ERR_INPUT) : err->code;
}

static int dry_run(const struct workflow *workflow)
{
	CLEANUP(buf_release) struct buf text = BUF_INIT;

	workflow_text(workflow, &text);
	fwrite(text.data, 1, text.len, stdout);
	printf("%zu jobs; nothing was submitted\n", workflow->count);
	return EXIT_OK;
}

/* Ends the wait, not the run. */
struct interruption {
	uv_signal_t signal;
	const char *name;
};

static void on_interrupt(uv_signal_t *signal, int number)
{
	const struct interruption *interruption = signal->data;

	(void)number;
	fprintf(stderr, "\nthe run %s goes on; flotilla ls --run %s, flotilla cancel --run %s\n", interruption->name,
		interruption->name, interruption->name);
	fflush(NULL);
	_exit(130);
}

static int follow(struct run *run, const struct options *options, struct progress *progress, struct err *err)
{
	struct interruption interruption = {.name = run->name};
	struct run_counts counts;
	int r;

	uv_signal_init(&run->session->loop, &interruption.signal);
	interruption.signal.data = &interruption;
	uv_signal_start(&interruption.signal, on_interrupt, SIGINT);
	uv_unref((uv_handle_t *)&interruption.signal);
	r = run_follow(run, progress, &counts, err);
	uv_close((uv_handle_t *)&interruption.signal, NULL);
	uv_run(&run->session->loop, UV_RUN_NOWAIT);
	progress_end(progress, &counts);
	/* an invitation that is still on its way (RabbitMQ may be away from here) is for nobody: all have ended */
	return r < 0 ? r : run_report(run, &counts, options->json, err);
}

static int go(struct run *run, const struct options *options, struct err *err)
{
	struct progress progress;
	int r = run_claim(run, options->name, options->shared_dir, err);

	if (r == 0 && run->shared_dir)
		r = workflow_replay_prepare(run->workflow, run->shared_dir, err);
	if (r < 0)
		return r;
	progress_init(&progress, run->name, run->workflow->count);
	fprintf(stderr, "run %s: %zu jobs%s\n", run->name, run->workflow->count,
		run->existed ? "; it exists, what is missing is submitted" : "");
	r = run_submit(run, &progress, err);
	if (r < 0)
		return r;
	if (!options->detach)
		return follow(run, options, &progress, err);
	r = session_finish(run->session, err);
	if (r < 0)
		return err_prefix(err, "the run %s is registered, invitations are owed", run->name);
	printf("%s\n", run->name);
	return EXIT_OK;
}

static int exec(struct app *app, void *data, struct err *err)
{
	const struct options *options = data;
	CLEANUP(workflow_release) struct workflow workflow = {0};
	CLEANUP(session_close) struct session session = {0};
	CLEANUP(run_release) struct run run = {.session = &session, .workflow = &workflow, .began_ms = clock_mono_ms()};

	if (load(app, options, &workflow, err) < 0)
		return err->code;
	if (options->dry_run)
		return dry_run(&workflow);
	if (session_open(&session, app, err) < 0 || session_open_fleet(&session, err) < 0)
		return err->code;
	return go(&run, options, err);
}

const struct command command_run = {
	.name = "run",
	.args = "FILE",
	.help = "submit a workflow, and wait for its end",
	.more = "FILE is a workflow in YAML or, with --replay, a recorded one (WfFormat 1.5, JSON); - is standard "
		"input.\n"
		"Exit 0 where no job failed, was cancelled or expired. A name that exists with the same file goes on "
		"with "
		"that run; with another file it is refused.",
	.options = options_,
	.take = take,
	.options_size = sizeof(struct options),
	.release = release,
	.min_args = 1,
	.max_args = 1,
	.exec = exec,
};
