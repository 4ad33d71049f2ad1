/* Predecessors, one by one; the registration that is not finished; the job that this one joined. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "cause.h"
#include "record.h"
#include "why.h"

#define LISTED 20

struct preds {
	const struct store_reply *waiting; /* id, when, id, when ... */
	size_t told, unknown;
};

static void on_predecessor(void *data, size_t index, const struct store_reply *record)
{
	struct preds *preds = data;
	const char *id = store_text_at(preds->waiting, 2 * index), *when = store_text_at(preds->waiting, 2 * index + 1);
	const char *state = record_text(record, "state");
	int len = (int)when_length(when);

	if (strcmp(id, "~") == 0)
		return;
	if (record_state(record) < 0)
		preds->unknown++;
	if (++preds->told > LISTED)
		return;
	if (strcmp(when, "duplicate") == 0)
		why_say("it has joined %s (same dedup key), which is %s, and ends as that one ends", id, state);
	else if (record_state(record) < 0)
		why_say("%s: nobody has submitted it yet, or it is kept no more (asked: %.*s)", id, len, when);
	else
		why_say("%s: is %s (asked: %.*s)", id, state, len, when);
}

int why_waiting(const struct why *why, struct err *err)
{
	CLEANUP(store_reply_freep)
	struct store_reply *waiting = session_ask(why->session, "HGETALL", KEY_WAITING, why->id, err);
	struct preds preds = {.waiting = waiting};
	CLEANUP(freep) const char **ids = NULL;
	size_t count = store_reply_count(waiting) / 2;
	bool guarded;

	if (!waiting)
		return err->code;
	guarded = store_field(waiting, "~") != NULL;
	ids = xcalloc(count + 1, sizeof *ids);
	for (size_t i = 0; i < count; i++)
		ids[i] = store_text_at(waiting, 2 * i);
	if (count > guarded && !*record_text(why->record, "duplicate_of"))
		why_say("it waits for %zu predecessor%s:", count - guarded, count - guarded == 1 ? "" : "s");
	if (session_each(why->session, "HGETALL", KEY_JOB, ids, count, on_predecessor, &preds, err) < 0)
		return err->code;
	if (preds.told > LISTED)
		why_say("and %zu more", preds.told - LISTED);
	if (preds.unknown)
		why_say("%zu of them nobody has submitted: submit them with that --id, or cancel this job",
			preds.unknown);
	if (guarded)
		why_say("its registration is not finished yet; the fleet's caretaker (a worker) finishes it, or submit "
			"it again "
			"with --id %s",
			why->id);
	return why_cycle(why, err);
}
