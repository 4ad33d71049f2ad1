/* The kept output is the last 64 KiB, so with --follow it slides: what was printed is found again by its end. */
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "commands.h"
#include "record.h"
#include "session.h"

enum { OPT_FOLLOW = 'f' };
#define LOOK_MS 500
#define OVERLAP 512

static const struct argp_option options_[] = {
	{"follow", OPT_FOLLOW, 0, 0, "go on until the job has ended", 0},
	{0},
};

/* Where the news begin in `text`, given what was there before. */
static size_t news(const struct buf *before, const char *text, size_t len)
{
	size_t tail = before->len < OVERLAP ? before->len : OVERLAP;
	const char *found;

	if (before->len == 0)
		return 0;
	if (before->len <= len && memcmp(text, before->data, before->len) == 0)
		return before->len;
	found = memmem(text, len, before->data + before->len - tail, tail);
	return found ? (size_t)(found - text) + tail : 0;
}

static int print_news(struct session *session, const char *id, struct buf *before, struct err *err)
{
	CLEANUP(store_reply_freep) struct store_reply *output = session_ask(session, "GET", KEY_OUTPUT, id, err);
	const char *text;
	size_t len, from;

	if (!output)
		return err->code;
	text = store_reply_text(output, &len);
	if (len == 0)
		return 0; /* between two attempts there is none */
	from = news(before, text, len);
	fwrite(text + from, 1, len - from, stdout);
	fflush(stdout);
	buf_reset(before);
	buf_add(before, text, len);
	return 0;
}

static bool never(void *data)
{
	(void)data;
	return false;
}

/* One look; 1 where the job has ended, so that nothing comes any more. */
static int look(struct session *session, const char *id, struct buf *printed, struct err *err)
{
	CLEANUP(store_reply_freep) struct store_reply *record = session_record(session, id, err);
	int r;

	if (!record)
		return err->code;
	r = print_news(session, id, printed, err);
	return r < 0 ? r : record_ended(record);
}

static int exec(struct app *app, void *data, struct err *err)
{
	const bool *follow = data;
	CLEANUP(session_close) struct session session = {0};
	CLEANUP(buf_release) struct buf printed = BUF_INIT;
	int r;

	if (check_ids(app, err) < 0 || session_open(&session, app, err) < 0)
		return err->code;
	session.patience_ms = SESSION_FOLLOW_MS;
	r = look(&session, app->args[0], &printed, err);
	while (r == 0 && *follow) {
		r = session_run(&session, never, NULL, LOOK_MS, err);
		if (r == ERR_TIMEOUT)
			r = look(&session, app->args[0], &printed, err);
	}
	return r < 0 ? r : EXIT_OK;
}

const struct command command_logs = {
	.name = "logs",
	.args = "ID",
	.help = "print the end of a job's output",
	.more = "The last 64 KiB of what it wrote to stdout and stderr are kept, brought up to date once a second.",
	.options = options_,
	.take = take_flag,
	.options_size = sizeof(bool),
	.min_args = 1,
	.max_args = 1,
	.exec = exec,
};
