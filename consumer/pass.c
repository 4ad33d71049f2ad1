/* A success whose one dependent is known from the claim: the end, and what it makes of that one, in one call
 * (pass.lua). If it is ready it begins here, so that a step of a chain is one turn with Redis; if it waits for others
 * too it is told, so that most ends of a fan have nothing more to do. Whether it is still the only one Redis decides.
 *
 * A place is kept for it while Redis is asked, but not for one that was found to wait for others. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "worker.h"

static bool is_crowded(const struct item *item)
{
	const char *crowded = item->worker->crowded;
	return crowded && strcmp(crowded, item->dependent) == 0;
}

static void note_crowded(struct item *item)
{
	if (is_crowded(item))
		return;
	free(item->worker->crowded);
	item->worker->crowded = xstrdup(item->dependent);
}

static void on_passed(void *data, const struct store_reply *reply)
{
	struct item *item = data;
	const struct fleet_taker taker = claim_taker(item->worker);
	const struct store_reply *said = store_reply_at(reply, 8);
	void *place = item->place;

	if (strcmp(store_text_at(said, 0), "claimed") == 0) {
		taker.begin(taker.data, place, item->dependent, said);
		place = NULL;
	} else if (strcmp(store_text_at(said, 0), "waits") == 0) {
		note_crowded(item);
	}
	if (place)
		taker.release(taker.data, place);
	attempt_settled(item, reply);
}

bool pass_on(struct item *item, const struct outcome *outcome, const char *result)
{
	struct worker *worker = item->worker;
	const struct fleet_taker taker = claim_taker(worker);
	struct fleet_claim claim = {"", "", "", "", "", ""};
	char exit_code[16] = "";

	if (!item->dependent)
		return false;
	item->place = is_crowded(item) ? NULL : taker.reserve(taker.data, &claim);
	if (outcome->exit_code >= 0)
		snprintf(exit_code, sizeof exit_code, "%d", outcome->exit_code);
	const struct store_arg args[] = {
		STORE_TEXT(item->dependent),
		STORE_TEXT(item->token),
		STORE_TEXT(result),
		STORE_BYTES(outcome->output ? outcome->output : "", outcome->output_len),
		STORE_TEXT(exit_code),
		STORE_TEXT(item->dir ? item->dir : ""),
		STORE_TEXT(attempt_progress(item)),
		STORE_TEXT(claim.token),
		STORE_TEXT(claim.worker),
		STORE_TEXT(claim.lease_ms),
		STORE_TEXT(claim.pool),
		STORE_TEXT(claim.tasks),
		STORE_TEXT(claim.demands),
	};
	store_script(worker->store, "pass", item->id, item->job.run, args, sizeof args / sizeof *args, on_passed, item);
	return true;
}
