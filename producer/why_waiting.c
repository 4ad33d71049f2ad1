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
	const struct why *why;
	const struct store_reply *waiting; /* a batch: id, when, id, when ... */
	size_t told, unknown;
	bool counting; /* enough have been listed: only whether the rest is there */
	struct err *err;
};

static void on_predecessor(void *data, size_t index, const struct store_reply *record)
{
	struct preds *preds = data;
	const char *id = store_text_at(preds->waiting, 2 * index), *when = store_text_at(preds->waiting, 2 * index + 1);
	const char *state = record_text(record, "state");
	int len = (int)when_length(when);

	if (strcmp(id, "~") == 0)
		return;
	if (preds->counting)
		preds->unknown += store_reply_int(record) == 0;
	else if (record_state(record) < 0)
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

static bool on_batch(void *data, const struct store_reply *batch)
{
	struct preds *preds = data;
	size_t count = store_reply_count(batch) / 2;
	CLEANUP(freep) const char **ids = xcalloc(count + 1, sizeof *ids);

	preds->waiting = batch;
	for (size_t i = 0; i < count; i++)
		ids[i] = store_text_at(batch, 2 * i);
	preds->counting = preds->told >= LISTED;
	return session_each(preds->why->session, preds->counting ? "EXISTS" : "HGETALL", KEY_JOB, ids, count,
			    on_predecessor, preds, preds->err) == 0;
}

static int say_predecessors(const struct why *why, size_t count, struct err *err)
{
	struct preds preds = {.why = why, .err = err};

	err->code = 0;
	if (count && !*record_text(why->record, "duplicate_of"))
		why_say("it waits for %zu predecessor%s:", count, count == 1 ? "" : "s");
	if (session_scan(why->session, "HSCAN", KEY_WAITING, why->id, on_batch, &preds, err) < 0 || err->code)
		return err->code;
	if (preds.told > LISTED)
		why_say("and %zu more", preds.told - LISTED);
	if (preds.unknown)
		why_say("%zu of them nobody has submitted: submit them with that --id, or cancel this job",
			preds.unknown);
	return 0;
}

int why_waiting(const struct why *why, struct err *err)
{
	CLEANUP(store_reply_freep) struct store_reply *guard = NULL, *count = NULL;
	bool guarded;

	count = session_ask(why->session, "HLEN", KEY_WAITING, why->id, err);
	guard = count ? store_sync(why->session->store, SESSION_ANSWER_MS, err, "HEXISTS %k ~", KEY_WAITING, why->id)
		      : NULL;
	if (!guard)
		return err->code;
	guarded = store_reply_int(guard) != 0;
	if (say_predecessors(why, (size_t)store_reply_int(count) - guarded, err) < 0)
		return err->code;
	if (guarded)
		why_say("its registration is not finished yet; the fleet's caretaker (a worker) finishes it, or submit "
			"it again "
			"with --id %s",
			why->id);
	return why_cycle(why, err);
}
