#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/duration.h"
#include "commands.h"
#include "out.h"
#include "workers.h"
#include "workers_view.h"

enum { OPT_JSON = 0x1000, OPT_ALIVE, OPT_HOST, OPT_POOL };

static const struct argp_option options_[] = {
	{"alive", OPT_ALIVE, 0, 0, "only those that take jobs; exits with 4 where there is none", 0},
	{"host", OPT_HOST, "HOST", 0, "only those on this host", 0},
	{"pool", OPT_POOL, "POOL", 0, "only those of this pool", 0},
	{"json", OPT_JSON, 0, 0, "a JSON document a line", 0},
	{0},
};

struct options {
	const char *host, *pool;
	bool alive, json;
};

static int take(void *data, int key, const char *value, struct err *err)
{
	struct options *options = data;

	switch (key) {
	case OPT_HOST: options->host = value; return 0;
	case OPT_POOL: options->pool = value; return check_pool(value, err);
	case OPT_ALIVE: options->alive = true; return 0;
	default: options->json = true; return 0;
	}
}

static bool asked_for(const struct worker *worker, const void *data)
{
	const struct options *options = data;

	return (!options->alive || worker->alive) &&
	       (!options->host || strcmp(worker_text(worker, "host"), options->host) == 0) &&
	       (!options->pool || strcmp(worker_text(worker, "pool"), options->pool) == 0);
}

static void show(const struct workers *workers, const struct options *options)
{
	CLEANUP(buf_release) struct buf text = BUF_INIT;

	if (options->json) {
		for (size_t i = 0; i < workers->count; i++)
			out_json(worker_json(&workers->at[i]), stdout);
		return;
	}
	workers_table(workers, out_fancy(stdout), &text);
	fwrite(text.data, 1, text.len, stdout);
}

static int none(const struct options *options, struct err *err)
{
	const char *on = options->host ? " on " : "", *host = options->host ? options->host : "";
	const char *of = options->pool ? " of pool " : "", *pool = options->pool ? options->pool : "";

	if (options->alive)
		return err_set(err, ERR_NOT_FOUND, "no worker%s%.255s%s%.63s takes jobs", on, host, of, pool);
	if (!options->json)
		fprintf(stderr, "flotilla workers: there is none%s%.255s%s%.63s; start one with flotillad --pool %s\n",
			on, host, of, pool, options->pool ? pool : "POOL");
	return EXIT_OK;
}

static int exec(struct app *app, void *data, struct err *err)
{
	const struct options *options = data;
	CLEANUP(session_close) struct session session = {0};
	CLEANUP(workers_release) struct workers workers = {0};

	if (session_open(&session, app, err) < 0 || workers_read(&session, &workers, err) < 0)
		return err->code;
	workers_keep(&workers, asked_for, options);
	show(&workers, options);
	return workers.count == 0 ? none(options, err) : EXIT_OK;
}

const struct command command_workers = {
	.name = "workers",
	.args = "",
	.help = "list the workers",
	.more = "A worker whose last sign of life is older than its lease is shown as gone. One gives them only while "
		"it "
		"takes jobs, so --alive --host \"$(hostname)\" is a check of health.",
	.options = options_,
	.take = take,
	.options_size = sizeof(struct options),
	.exec = exec,
};
