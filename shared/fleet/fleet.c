/* The small flows, and what the answers of scripts lead to. */
#include <stdio.h>

#include "base/fault.h"
#include "base/log.h"
#include "fleet/internal.h"

struct fleet *fleet_new(const struct fleet_options *options)
{
	struct fleet *fleet = xcalloc(1, sizeof *fleet);

	fleet->store = options->store;
	fleet->publisher = options->publisher;
	fleet->limits = options->limits;
	fleet->taker = options->taker;
	return fleet;
}

void fleet_free(struct fleet *fleet) { free(fleet); }
size_t fleet_busy(const struct fleet *fleet) { return fleet->busy; }

/* --- invitations --- */

struct invitation {
	struct fleet *fleet;
	char queued_at[24];
	char id[];
};

static void on_noted(void *data, const struct store_reply *reply)
{
	struct invitation *invitation = data;

	(void)reply;
	invitation->fleet->busy--;
	free(invitation);
}

/* One that came back unrouted keeps its entry: the caretaker will try again. */
static void on_invited(void *data, enum publish_outcome outcome)
{
	struct invitation *invitation = data;
	struct fleet *fleet = invitation->fleet;
	const struct store_arg args[] = {STORE_TEXT(invitation->queued_at)};

	/* in a Redis that is full it may lie behind messages that nobody can admit: the caretaker is to look soon */
	if (outcome == PUBLISH_CONFIRMED && !store_full(fleet->store)) {
		FAULT_POINT(INVITE_CONFIRMED);
		store_script(fleet->store, "invited", invitation->id, NULL, args, 1, on_noted, invitation);
	} else {
		on_noted(invitation, NULL);
	}
	fleet_published(fleet, outcome);
}

void fleet_invited(struct fleet *fleet, const char *id, const char *queued_at)
{
	const struct store_arg args[] = {STORE_TEXT(queued_at)};

	if (!store_full(fleet->store))
		store_script(fleet->store, "invited", id, NULL, args, 1, NULL, NULL);
}

void fleet_invite(struct fleet *fleet, const char *id, const char *pool, const char *priority, const char *task,
		  const char *queued_at)
{
	struct invitation *invitation;
	size_t len = strlen(id) + 1;

	if (!fleet->publisher)
		return;
	FAULT_POINT(INVITE_HANDED);
	invitation = xmalloc(sizeof *invitation + len);
	invitation->fleet = fleet;
	snprintf(invitation->queued_at, sizeof invitation->queued_at, "%s", queued_at);
	memcpy(invitation->id, id, len);
	fleet->busy++;
	publisher_invite(fleet->publisher, id, pool, priority, task, on_invited, invitation);
}

/* --- what an answer leads to --- */

/* {'ended', state, epoch, owed, asks, dedup, many, children}, or the first two alone: ended.inc.lua */
static void follow_end(struct fleet *fleet, const char *id, const char *run, const struct store_reply *reply)
{
	if (store_int_at(reply, 4))
		fleet_reply(fleet, id);
	if (store_int_at(reply, 3))
		fleet_tell(fleet, id, run, store_text_at(reply, 1), store_text_at(reply, 2), store_text_at(reply, 5),
			   store_reply_at(reply, 7), (size_t)store_int_at(reply, 6), NULL, NULL);
}

bool fleet_follow(struct fleet *fleet, const char *id, const char *run, const struct store_reply *reply)
{
	bool ready = (fleet_says(reply, "ready") || fleet_says(reply, "done")) &&
		     strcmp(store_text_at(reply, 1), "queued") == 0;

	if (fleet_says(reply, "ended")) {
		follow_end(fleet, id, run, reply);
		return true;
	}
	if (ready && store_reply_count(reply) == 6) {
		fleet_invite(fleet, id, store_text_at(reply, 2), store_text_at(reply, 3), store_text_at(reply, 4),
			     store_text_at(reply, 5));
		return true;
	}
	if (fleet_says(reply, "queued") && store_reply_count(reply) == 5) {
		fleet_invite(fleet, id, store_text_at(reply, 1), store_text_at(reply, 2), store_text_at(reply, 3),
			     store_text_at(reply, 4));
		return true;
	}
	return false;
}

/* --- cancel, retry --- */

struct ask {
	struct fleet *fleet;
	store_done *done;
	void *data;
	char id[];
};

static struct ask *ask_new(struct fleet *fleet, const char *id, store_done *done, void *data)
{
	size_t len = strlen(id) + 1;
	struct ask *ask = xmalloc(sizeof *ask + len);

	*ask = (struct ask){fleet, done, data};
	memcpy(ask->id, id, len);
	fleet->busy++;
	return ask;
}

static void ask_end(struct ask *ask, const struct store_reply *reply)
{
	ask->fleet->busy--;
	if (ask->done)
		ask->done(ask->data, reply);
	free(ask);
}

static void on_cancelled(void *data, const struct store_reply *reply)
{
	struct ask *ask = data;
	struct store *store = ask->fleet->store;

	fleet_follow(ask->fleet, ask->id, NULL, reply);
	/* the event only hastens what the next renewal of the lease will say */
	if (fleet_says(reply, "asked") && store_text_at(reply, 1)[0])
		store_format(store, NULL, NULL, "PUBLISH %k cancel\x1f%s", KEY_WORKER, store_text_at(reply, 1),
			     ask->id);
	ask_end(ask, reply);
}

void fleet_cancel(struct fleet *fleet, const char *id, store_done *done, void *data)
{
	store_script(fleet->store, "cancel", id, NULL, NULL, 0, on_cancelled, ask_new(fleet, id, done, data));
}

static void on_settled_first(void *data)
{
	struct ask *ask = data;

	fleet_retry(ask->fleet, ask->id, ask->done, ask->data);
	ask->done = NULL;
	ask_end(ask, NULL);
}

static void on_registered(void *data)
{
	struct ask *ask = data;
	ask_end(ask, NULL);
}

static void on_retried(void *data, const struct store_reply *reply)
{
	struct ask *ask = data;

	if (fleet_says(reply, "busy")) {
		fleet_resume(ask->fleet, ask->id, on_settled_first, ask);
		return;
	}
	if (!fleet_says(reply, "revived")) {
		ask_end(ask, reply);
		return;
	}
	if (ask->done)
		ask->done(ask->data, reply);
	ask->done = NULL;
	fleet_register(ask->fleet, ask->id, store_int_at(reply, 1), true, on_registered, ask);
}

void fleet_retry(struct fleet *fleet, const char *id, store_done *done, void *data)
{
	store_script(fleet->store, "retry", id, NULL, NULL, 0, on_retried, ask_new(fleet, id, done, data));
}
