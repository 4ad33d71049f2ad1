/* The dedup key of a registration. Taken once the record exists; held by another job that lives, the job waits for that
 * one alone, and ends as it ends. A holder that is found ended or gone is stale: the key is taken from it, unless it
 * has been tried or submitted again meanwhile (its tenure is another then). */
#include <inttypes.h>
#include <stdio.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "fleet/registration.h"

#define TOKEN_BYTES 8

static void on_joined_resolved(void *data, const struct store_reply *reply)
{
	struct registration *r = data;

	if (registration_failed(r, reply)) {
		registration_give_up(r);
		return;
	}
	fleet_follow(r->fleet, r->id, r->run, reply);
	registration_take_guard_away(r);
}

static void on_holder_detail(void *data, const struct store_reply *reply)
{
	struct registration *r = data;

	if (registration_failed(r, reply)) {
		registration_give_up(r);
		return;
	}
	struct fleet_end e = {store_text_at(reply, 4), store_text_at(reply, 8), store_text_at(reply, 0),
			      store_text_at(reply, 1), store_text_at(reply, 2), store_text_at(reply, 3)};

	fleet_resolve(r->fleet, r->id, r->run, r->holder, &e, NULL, on_joined_resolved, r);
}

static void on_holder_watched(void *data, const struct store_reply *reply)
{
	struct registration *r = data;

	if (registration_failed(r, reply)) {
		registration_give_up(r);
		return;
	}
	if (fleet_says(reply, "live")) {
		/* it may have been tried again without the key, which is anybody's then: asked again now that it is
		 * watched */
		r->watched = true;
		registration_take_key(r);
	} else if (r->reuse && fleet_says(reply, "ended") && strcmp(store_text_at(reply, 1), "succeeded") == 0) {
		store_script(r->fleet->store, "detail", r->holder, NULL, NULL, 0, on_holder_detail, r);
	} else {
		free(r->stale);
		free(r->stale_tenure);
		r->stale = TAKE_PTR(r->holder);
		r->stale_tenure = TAKE_PTR(r->tenure);
		registration_take_key(r);
	}
}

static void on_join(void *data, const struct store_reply *reply)
{
	struct registration *r = data;

	if (registration_failed(r, reply)) {
		registration_give_up(r);
		return;
	}
	if (fleet_says(reply, "late") && registration_too_late(r, reply)) {
		registration_end(r, store_text_at(reply, 1), NULL);
		return;
	}
	/* 'late': somebody else has finished it; register.lua will say so */
	if (r->holder) {
		const struct pred holder = {r->holder, "duplicate"};
		registration_watch(r, &holder, on_holder_watched, r);
	} else {
		registration_watch_all(r);
	}
}

/* The job's own predecessors come from its spec: a join that is taken back puts them in waiting again. */
static void join(struct registration *r)
{
	size_t first = r->holder ? 0 : registration_first(r), n = 0;
	struct store_arg *args = xcalloc(2 + 2 * first, sizeof *args);
	char part[24] = "";

	args[n++] = STORE_TEXT(r->holder ? r->holder : "");
	if (first > 0 && first < r->count)
		snprintf(part, sizeof part, "%zu", first);
	args[n++] = STORE_TEXT(part);
	n += registration_args(r, 0, first, args + n);
	store_script(r->fleet->store, "join", r->id, r->run, args, n, on_join, r);
	free(args);
}

static void on_key(void *data, const struct store_reply *reply)
{
	struct registration *r = data;
	const char *holder = store_text_at(reply, 0);
	bool watched = r->watched && r->holder && strcmp(holder, r->holder) == 0;

	r->watched = false;
	if (registration_failed(r, reply)) {
		registration_give_up(r);
		return;
	}
	if (watched) {
		registration_take_guard_away(r);
		return;
	}
	free(r->holder);
	free(r->tenure);
	r->tenure = xstrdup(store_text_at(reply, 1));
	r->holder = strcmp(holder, r->id) == 0 ? NULL : xstrdup(holder);
	join(r);
}

void registration_take_key(struct registration *r)
{
	char epoch[24], token[2 * TOKEN_BYTES + 1];

	if (!r->dedup) {
		registration_watch_all(r);
		return;
	}
	snprintf(epoch, sizeof epoch, "%" PRId64, r->epoch);
	random_hex(token, TOKEN_BYTES);
	const struct store_arg args[] = {STORE_TEXT("take"),
					 STORE_TEXT(r->id),
					 STORE_TEXT(epoch),
					 STORE_TEXT(token),
					 STORE_TEXT(r->stale ? r->stale : ""),
					 STORE_TEXT(r->stale_tenure ? r->stale_tenure : "")};
	store_script(r->fleet->store, "dedup", r->dedup, NULL, args, 6, on_key, r);
}
