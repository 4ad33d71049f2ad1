#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/duration.h"
#include "commands.h"
#include "out.h"
#include "record.h"
#include "session.h"

enum { OPT_JSON = 0x1000 };

static const struct argp_option options_[] = {
	{"json", OPT_JSON, 0, 0, "as one JSON document", 0},
	{0},
};

#define RESULT_SHOWN 2000

static void print_text(const char *name, const char *text, const char *color, bool fancy)
{
	CLEANUP(buf_release) struct buf clean = BUF_INIT;

	if (!text || !*text)
		return;
	out_clean(&clean, text, strnlen(text, RESULT_SHOWN), true);
	printf("%-13s %s%s%s%s\n", name, color, clean.data, *color ? out_plain(fancy) : "",
	       strlen(text) > RESULT_SHOWN ? " ..." : "");
}

/* Unix ms as local time, and how long ago or ahead. */
static void print_time(const struct store_reply *record, const char *field, const char *name, int64_t now)
{
	int64_t at = record_int(record, field, 0);
	time_t seconds = (time_t)(at / 1000);
	char when[40], span[DURATION_TEXT];
	struct tm local;

	if (at <= 0)
		return;
	localtime_r(&seconds, &local);
	strftime(when, sizeof when, "%Y-%m-%d %H:%M:%S", &local);
	duration_format(at > now ? at - now : now - at, span);
	printf("%-13s %s.%03d (%s%s%s)\n", name, when, (int)(at % 1000), at > now ? "in " : "", span,
	       at > now ? "" : " ago");
}

static void print_numbers(const struct store_reply *record)
{
	static const char *const names[] = {"failures", "lost", "epoch", "pending", "exit_code"};

	printf("%-13s %lld\n", "attempt", (long long)record_int(record, "attempt", 0));
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (record_int(record, names[i], 0) || (i == 4 && store_field(record, names[i])))
			printf("%-13s %lld\n", names[i], (long long)record_int(record, names[i], 0));
}

static void print_record(const char *id, const struct store_reply *record, const char *result, int64_t now)
{
	bool fancy = out_fancy(stdout);
	const char *state = record_text(record, "state");
	static const char *const before[] = {"task",   "pool", "priority", "run",         "labels",
					     "worker", "dir",  "via",      "duplicate_of"};
	static const char *const after[] = {"reason", "error", "progress"};
	static const char *const times[][2] = {
		{"created_at", "created"}, {"due_at", "due"},         {"expires_at", "expires"},
		{"queued_at", "queued"},   {"started_at", "started"}, {"cancel_at", "cancel asked"},
		{"ended_at", "ended"},
	};

	print_text("id", id, out_bold(fancy), fancy);
	print_text("state", state, out_state_color(state, fancy), fancy);
	for (size_t i = 0; i < sizeof before / sizeof *before; i++)
		print_text(before[i], record_text(record, before[i]), "", fancy);
	print_numbers(record);
	for (size_t i = 0; i < sizeof after / sizeof *after; i++)
		print_text(after[i], record_text(record, after[i]), "", fancy);
	for (size_t i = 0; i < sizeof times / sizeof *times; i++)
		print_time(record, times[i][0], times[i][1], now);
	print_text("result", result, "", fancy);
}

static int exec(struct app *app, void *data, struct err *err)
{
	const bool *json = data;
	CLEANUP(session_close) struct session session = {0};
	CLEANUP(store_reply_freep) struct store_reply *record = NULL, *result = NULL;
	int64_t now;

	if (check_ids(app, err) < 0 || session_open(&session, app, err) < 0)
		return err->code;
	record = session_record(&session, app->args[0], err);
	if (!record)
		return err->code;
	result = session_ask(&session, "GET", KEY_RESULT, app->args[0], err);
	if (!result || session_now(&session, &now, err) < 0)
		return err->code;
	if (*json)
		out_json(record_json(app->args[0], record,
				     store_reply_nil(result) ? "null" : store_reply_text(result, NULL)),
			 stdout);
	else
		print_record(app->args[0], record, store_reply_text(result, NULL), now);
	return EXIT_OK;
}

const struct command command_status = {
	.name = "status",
	.args = "ID",
	.help = "show a job",
	.options = options_,
	.take = take_flag,
	.options_size = sizeof(bool),
	.min_args = 1,
	.max_args = 1,
	.exec = exec,
};
