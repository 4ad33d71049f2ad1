/* A success that makes one dependent ready, and the beginning of that one here, in one call (pass.lua): a step of a
 * chain is one turn with Redis instead of two. The dependent is known from the claim, if there was one then; whether it
 * is still the only one, and waits for nothing else, Redis decides.
 *
 * One that waits for several would be asked about at each of their ends, so the last that was found to is left alone.
 */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "worker.h"

static void leave_alone(struct worker *worker, const struct item *item)
{
	free(worker->crowded);
	worker->crowded = xstrdup(item->dependent);
}

static void on_passed(void *data, const struct store_reply *reply)
{
	struct item *item = data;
	struct worker *worker = item->worker;
	const struct fleet_taker taker = claim_taker(worker);
	const struct store_reply *begun = store_reply_at(reply, 8);

	if (strcmp(store_text_at(begun, 0), "claimed") == 0) {
		taker.begin(taker.data, item->place, item->dependent, begun);
	} else {
		taker.release(taker.data, item->place);
		leave_alone(worker, item);
	}
	attempt_settled(item, reply);
}

bool pass_on(struct item *item, const char *result)
{
	struct worker *worker = item->worker;
	const struct fleet_taker taker = claim_taker(worker);
	struct fleet_claim claim;

	if (!item->dependent || (worker->crowded && strcmp(worker->crowded, item->dependent) == 0))
		return false;
	item->place = taker.reserve(taker.data, &claim);
	if (!item->place)
		return false;
	const struct store_arg args[] = {
		STORE_TEXT(item->dependent), STORE_TEXT(item->token),  STORE_TEXT(result),
		STORE_TEXT(claim.token),     STORE_TEXT(claim.worker), STORE_TEXT(claim.lease_ms),
		STORE_TEXT(claim.pool),      STORE_TEXT(claim.tasks),  STORE_TEXT(claim.demands),
	};
	store_script(worker->store, "pass", item->id, item->job.run, args, sizeof args / sizeof *args, on_passed, item);
	return true;
}
