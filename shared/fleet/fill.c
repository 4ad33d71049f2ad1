/* Predecessors by the thousand: what admit.lua and join.lua have not written goes into `waiting` batch by batch, behind
 * the guard, before any of them is looked at (fill.lua). Whoever dies in the middle leaves the guard, and how far it
 * was. */
#include <inttypes.h>
#include <stdio.h>

#include "fleet/registration.h"

size_t registration_first(const struct registration *r) { return r->count < FLEET_ENTRIES ? r->count : FLEET_ENTRIES; }

size_t registration_args(const struct registration *r, size_t from, size_t count, struct store_arg *args)
{
	size_t n = 0;

	for (size_t i = from; i < from + count && i < r->count; i++) {
		args[n++] = STORE_TEXT(r->preds[i].id);
		args[n++] = STORE_TEXT(r->preds[i].when);
	}
	return n;
}

static void on_filled(void *data, const struct store_reply *reply);

/* Without `at` it only asks how far it is. */
static void fill_from(struct registration *r, const char *at)
{
	struct store_arg args[2 + 2 * FLEET_ENTRIES];
	size_t from = *at ? strtoul(at, NULL, 10) : r->count, n = 2;

	args[0] = STORE_TEXT(at);
	args[1] = STORE_TEXT(*at && from + FLEET_ENTRIES >= r->count ? "1" : "0");
	n += registration_args(r, from, FLEET_ENTRIES, args + n);
	store_script(r->fleet->store, "fill", r->id, r->run, args, n, on_filled, r);
}

static void on_filled(void *data, const struct store_reply *reply)
{
	struct registration *r = data;

	if (registration_failed(r, reply)) {
		registration_give_up(r);
	} else if (fleet_says(reply, "at")) {
		fill_from(r, store_text_at(reply, 1));
	} else if (fleet_says(reply, "full")) {
		r->full = true;
		registration_watch_all(r);
	} else {
		registration_take_guard_away(r); /* it has ended meanwhile, or somebody else has finished it */
	}
}

void registration_fill(struct registration *r)
{
	char at[24] = "";

	if (r->fresh)
		snprintf(at, sizeof at, "%d", FLEET_ENTRIES);
	fill_from(r, at);
}
