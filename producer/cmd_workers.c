#include <stdio.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/duration.h"
#include "commands.h"
#include "out.h"
#include "workers.h"
#include "workers_view.h"

enum { OPT_JSON = 0x1000 };

static const struct argp_option options_[] = {
	{"json", OPT_JSON, 0, 0, "a JSON document a line", 0},
	{0},
};

static int exec(struct app *app, void *data, struct err *err)
{
	const bool *json = data;
	CLEANUP(session_close) struct session session = {0};
	CLEANUP(workers_release) struct workers workers = {0};
	CLEANUP(buf_release) struct buf text = BUF_INIT;

	if (session_open(&session, app, err) < 0 || workers_read(&session, &workers, err) < 0)
		return err->code;
	if (*json) {
		for (size_t i = 0; i < workers.count; i++)
			out_json(worker_json(&workers.at[i]), stdout);
		return EXIT_OK;
	}
	workers_table(&workers, out_fancy(stdout), &text);
	fwrite(text.data, 1, text.len, stdout);
	if (workers.count == 0)
		fprintf(stderr, "flotilla workers: there is none; start one with flotillad --pool POOL\n");
	return EXIT_OK;
}

const struct command command_workers = {
	.name = "workers",
	.args = "",
	.help = "list the workers",
	.more = "A worker whose last sign of life is older than its lease is shown as gone.",
	.options = options_,
	.take = take_flag,
	.options_size = sizeof(bool),
	.exec = exec,
};
