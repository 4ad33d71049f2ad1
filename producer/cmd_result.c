#include <stdio.h>

#include "base/cleanup.h"
#include "commands.h"
#include "record.h"
#include "session.h"

static int exec(struct app *app, void *data, struct err *err)
{
	CLEANUP(session_close) struct session session = {0};
	CLEANUP(store_reply_freep) struct store_reply *record = NULL, *result = NULL;
	const char *id = app->args[0], *text;
	size_t len;

	(void)data;
	if (check_ids(app, err) < 0 || session_open(&session, app, err) < 0)
		return err->code;
	record = session_record(&session, id, err);
	if (!record)
		return err->code;
	if (!record_ended(record)) {
		fprintf(stderr, "flotilla result: %s has not ended, it is %s; flotilla wait %s waits for it\n", id,
			record_text(record, "state"), id);
		return EXIT_NOT_SUCCEEDED;
	}
	result = session_ask(&session, "GET", KEY_RESULT, id, err);
	if (!result)
		return err->code;
	text = store_reply_text(result, &len);
	if (store_reply_nil(result))
		puts("null");
	else
		printf("%.*s\n", (int)len, text);
	return EXIT_OK;
}

const struct command command_result = {
	.name = "result",
	.args = "ID",
	.help = "print a job's result, as JSON",
	.more = "A job without a result prints null. Exit: 1 where it has not ended, 4 where nobody knows it.",
	.min_args = 1,
	.max_args = 1,
	.exec = exec,
};
