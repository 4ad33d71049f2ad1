#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "commands.h"
#include "follow.h"

enum { OPT_ANY = 0x1000, OPT_TIMEOUT, OPT_UNKNOWN_OK };

static const struct argp_option options_[] = {
	{"any", OPT_ANY, 0, 0, "wait for the first of them that ends", 0},
	{"timeout", OPT_TIMEOUT, "DUR", 0, "give up after this long (exit 124)", 0},
	{"unknown-ok", OPT_UNKNOWN_OK, 0, 0, "wait also for ids that nobody knows yet", 0},
	{0},
};

struct options {
	struct follow_until until;
	bool limited;
};

static int take(void *data, int key, const char *value, struct err *err)
{
	struct options *options = data;

	switch (key) {
	case OPT_ANY: options->until.any = true; return 0;
	case OPT_UNKNOWN_OK: options->until.unknown_ok = true; return 0;
	default: options->limited = true; return take_duration(value, &options->until.timeout_ms, err);
	}
}

static void say(void *data, const struct followed *job)
{
	(void)data;
	printf("%s %s\n", job->id, job_state_name((enum job_state)job->state));
	fflush(stdout);
}

static int wait_for(struct session *session, struct app *app, const struct follow_until *until, struct err *err)
{
	struct follow follow;
	int r;

	follow_init(&follow, session, app->args, app->arg_count);
	follow.on_end = say;
	r = follow_run(&follow, until, err);
	if (r == 0)
		r = follow_exit(&follow);
	else if (r == ERR_TIMEOUT)
		err_set(err, ERR_TIMEOUT, "%zu of %zu jobs have not ended in time", follow.count - follow.ended,
			follow.count);
	follow_release(&follow);
	return r;
}

static int exec(struct app *app, void *data, struct err *err)
{
	struct options *options = data;
	CLEANUP(session_close) struct session session = {0};

	if (!options->limited)
		options->until.timeout_ms = -1;
	if (check_ids(app, err) < 0 || session_open(&session, app, err) < 0)
		return err->code;
	return wait_for(&session, app, &options->until, err);
}

const struct command command_wait = {
	.name = "wait",
	.args = "ID...",
	.help = "wait until jobs have ended",
	.more = "Prints a line `ID STATE` as each ends. Exit: 0 all succeeded, 1 one did not, 4 nobody knows an id, "
		"124 timeout.",
	.options = options_,
	.take = take,
	.options_size = sizeof(struct options),
	.min_args = 1,
	.max_args = SIZE_MAX,
	.exec = exec,
};
