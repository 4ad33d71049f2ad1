#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/duration.h"
#include "commands.h"
#include "out.h"
#include "record.h"
#include "why.h"

#define OUTPUT_LINES 20
#define OUTPUT_BYTES 4000

void why_say(const char *format, ...)
{
	CLEANUP(buf_release) struct buf text = BUF_INIT, clean = BUF_INIT;
	va_list ap;

	va_start(ap, format);
	buf_vaddf(&text, format, ap);
	va_end(ap);
	out_clean(&clean, text.data ? text.data : "", text.len, true);
	printf("  %s\n", clean.data ? clean.data : "");
}

void why_ago(const struct why *why, const char *field, char *text)
{
	int64_t at = record_int(why->record, field, 0);
	char span[DURATION_TEXT];

	age_format(why->now_ms, at, span);
	snprintf(text, 48, "%s%s", at > 0 ? span : "", at > 0 ? " ago" : "");
}

/* Where the last `lines` lines begin. */
static size_t tail_start(const char *text, size_t len, int lines)
{
	size_t at = len, least = len > OUTPUT_BYTES ? len - OUTPUT_BYTES : 0;

	if (at > 0 && text[at - 1] == '\n')
		at--;
	for (; at > least; at--)
		if (text[at - 1] == '\n' && --lines == 0)
			break;
	return at;
}

int why_output(const struct why *why, const char *id, struct err *err)
{
	CLEANUP(store_reply_freep) struct store_reply *output = session_ask(why->session, "GET", KEY_OUTPUT, id, err);
	CLEANUP(buf_release) struct buf clean = BUF_INIT;
	const char *text;
	size_t len, from;

	if (!output)
		return err->code;
	text = store_reply_text(output, &len);
	if (len == 0)
		return 0;
	from = tail_start(text, len, OUTPUT_LINES);
	out_clean(&clean, text + from, len - from, false);
	printf("  the end of its output%s:\n", from ? " (flotilla logs has more)" : "");
	for (char *line = clean.data; line && *line;) {
		size_t n = strcspn(line, "\n");
		printf("    | %.*s\n", (int)n, line);
		line += n + (line[n] == '\n');
	}
	return 0;
}

static int explain(const struct why *why, int state, struct err *err)
{
	switch (state) {
	case JOB_WAITING: return why_waiting(why, err);
	case JOB_SCHEDULED: return why_scheduled(why, err);
	case JOB_QUEUED: return why_queued(why, err);
	case JOB_RUNNING: return why_running(why, err);
	default: return why_ended(why, err);
	}
}

static int exec(struct app *app, void *data, struct err *err)
{
	CLEANUP(session_close) struct session session = {0};
	CLEANUP(store_reply_freep) struct store_reply *record = NULL;
	struct why why = {.session = &session, .id = app->args[0]};
	bool fancy = out_fancy(stdout);
	const char *state;

	(void)data;
	if (check_ids(app, err) < 0 || session_open(&session, app, err) < 0)
		return err->code;
	record = session_record(&session, why.id, err);
	if (!record || session_now(&session, &why.now_ms, err) < 0)
		return err->code;
	why.record = record;
	state = record_text(record, "state");
	printf("%s (%s) is %s%s%s\n", why.id, record_text(record, "task"), out_state_color(state, fancy), state,
	       out_plain(fancy));
	return explain(&why, record_state(record), err);
}

const struct command command_why = {
	.name = "why",
	.args = "ID",
	.help = "say why a job is not running, or how it ended",
	.min_args = 1,
	.max_args = 1,
	.exec = exec,
};
