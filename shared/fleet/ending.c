/* Telling dependents. An end that is listed in `settling` is told to each entry of the job's dependents by resolve.lua,
 * a hundred at a time, as fast as the broker takes what that makes ready, each batch moving the entry's time on; then
 * the dedup key is released, then the entry is struck off. Whoever does this twice, or two at once, does no harm. */
#include <inttypes.h>

#include <stdio.h>

#include "base/fault.h"
#include "base/log.h"
#include "fleet/internal.h"

struct telling {
	struct fleet *fleet;
	char *id, *run, *state, *epoch, *dedup;
	struct store_reply *detail; /* reason, error, exit_code, result: fetched only where a job has joined this one */
	struct store_cursor cursor;
	bool failed;     /* somebody could not be told: the end stays listed */
	uint64_t losses; /* store_losses, when it began */
	bool scan;       /* the dependents are read in batches */
	struct store_reply *children;
	size_t next, open;
	struct fleet_pause pause;
	void (*done)(void *data);
	void *data;
};

struct child {
	struct telling *telling;
	void *place; /* where it is begun if it becomes ready (fleet_taker); NULL: nowhere here */
	struct crowd *crowd;
	char id[];
};

static void go_on(struct telling *t);

static void end(struct telling *t)
{
	t->fleet->busy--;
	if (t->done)
		t->done(t->data);
	free(t->id);
	free(t->run);
	free(t->state);
	free(t->epoch);
	free(t->dedup);
	store_reply_free(t->children);
	store_reply_free(t->detail);
	free(t);
}

/* Redis may have forgotten the end itself, or that somebody was told. The end stays listed, if it is still one. */
static bool may_be_forgotten(const struct telling *t) { return store_losses(t->fleet->store) != t->losses; }

/* Whether a step could not be done, for a reason that does not pass. */
static bool failed(struct telling *t, const char *id, const struct store_reply *reply)
{
	const char *error = store_reply_error(reply);
	const struct log_job job = {.id = id};

	if (may_be_forgotten(t))
		return true;
	if (error)
		log_line(LOG_LEVEL_ERROR, &job, "telling it of the end of %s: %s; it will be tried again", t->id,
			 error);
	t->failed = t->failed || error;
	return error != NULL;
}

static void on_told(void *data, const struct store_reply *reply)
{
	(void)reply;
	end(data);
}

static void on_released(void *data, const struct store_reply *reply)
{
	struct telling *t = data;
	const struct store_arg args[] = {STORE_TEXT(t->epoch)};

	if (failed(t, t->id, reply))
		end(t);
	else
		store_script(t->fleet->store, "told", t->id, t->run, args, 1, on_told, t);
}

static void release_key(struct telling *t, const char *stays_ms)
{
	const struct store_arg args[] = {STORE_TEXT("release"), STORE_TEXT(t->id), STORE_TEXT(t->epoch),
					 STORE_TEXT(stays_ms)};
	store_script(t->fleet->store, "dedup", t->dedup, NULL, args, 4, on_released, t);
}

static void on_keep(void *data, const struct store_reply *reply)
{
	struct telling *t = data;
	int64_t keep_s = store_reply_nil(reply) ? 86400 : store_reply_int(reply);
	char ms[24];

	if (failed(t, t->id, reply)) {
		end(t);
		return;
	}
	snprintf(ms, sizeof ms, "%" PRId64, keep_s * 1000 + 60000);
	release_key(t, ms);
}

static void release(struct telling *t)
{
	if (t->dedup[0])
		FAULT_POINT(KEY_RELEASE);
	if (t->failed)
		end(t);
	else if (!t->dedup[0])
		on_released(t, NULL);
	else if (strcmp(t->state, "succeeded") == 0)
		store_format(t->fleet->store, on_keep, t, "HGET %k keep", KEY_JOB, t->id);
	else
		release_key(t, "");
}

void fleet_resolve(struct fleet *fleet, const char *child, const char *run, const char *from, const struct fleet_end *e,
		   const struct fleet_claim *claim, store_done *done, void *data)
{
	static const struct fleet_claim none = {"", "", "", "", "", ""};
	const struct fleet_claim *c = claim ? claim : &none;
	const struct store_arg args[] = {
		STORE_TEXT(from),       STORE_TEXT(e->state),     STORE_TEXT(e->epoch),  STORE_TEXT(e->reason),
		STORE_TEXT(e->error),   STORE_TEXT(e->exit_code), STORE_TEXT(e->result), STORE_TEXT(c->token),
		STORE_TEXT(c->worker),  STORE_TEXT(c->lease_ms),  STORE_TEXT(c->pool),   STORE_TEXT(c->tasks),
		STORE_TEXT(c->demands),
	};
	store_script(fleet->store, "resolve", child, run, args, sizeof args / sizeof *args, done, data);
}

static void on_resolved(void *data, const struct store_reply *reply)
{
	struct child *child = data;
	struct telling *t = child->telling;
	const struct fleet_taker *taker = &t->fleet->taker;
	bool begun = child->place && fleet_says(reply, "claimed");

	t->fleet->resolving--;
	fleet_crowd_leave(t->fleet, child->crowd, fleet_says(reply, "none") ? store_int_at(reply, 2) : 0);
	if (begun)
		taker->begin(taker->data, child->place, child->id, reply);
	else if (child->place)
		taker->release(taker->data, child->place);
	if (!failed(t, child->id, reply) && !begun)
		fleet_follow(t->fleet, child->id, t->run, reply);
	fleet_room(t->fleet);
	free(child);
	if (--t->open == 0)
		go_on(t);
}

static void resolve_child(struct telling *t, const char *id, const char *when)
{
	const struct fleet_taker *taker = &t->fleet->taker;
	size_t len = strlen(id) + 1;
	struct child *child = xmalloc(sizeof *child + len);
	struct fleet_end e = {t->state, t->epoch, "", "", "", ""};
	struct fleet_claim claim;
	bool joined = strcmp(when, "duplicate") == 0;

	child->telling = t;
	child->crowd = fleet_crowd_join(t->fleet, id);
	child->place = taker->reserve && !joined && !fleet_crowd_waits(child->crowd)
			       ? taker->reserve(taker->data, &claim)
			       : NULL;
	memcpy(child->id, id, len);
	if (joined && t->detail) {
		e.reason = store_text_at(t->detail, 0);
		e.error = store_text_at(t->detail, 1);
		e.exit_code = store_text_at(t->detail, 2);
		e.result = store_text_at(t->detail, 3);
	}
	t->open++;
	t->fleet->resolving++;
	fleet_resolve(t->fleet, id, t->run, t->id, &e, child->place ? &claim : NULL, on_resolved, child);
}

static bool has_joined(const struct store_reply *children)
{
	for (size_t i = 1; i < store_reply_count(children); i += 2)
		if (strcmp(store_text_at(children, i), "duplicate") == 0)
			return true;
	return false;
}

static void resolve_some(void *data)
{
	struct telling *t = data;
	size_t count = store_reply_count(t->children);

	t->open = 1; /* held until the whole batch is sent */
	for (size_t i = 0; i < 2 * FLEET_BATCH && t->next + 1 < count; i += 2, t->next += 2)
		resolve_child(t, store_text_at(t->children, t->next), store_text_at(t->children, t->next + 1));
	if (--t->open == 0)
		go_on(t);
}

static void resolve_batch(struct telling *t) { fleet_when_room(t->fleet, &t->pause, resolve_some, t); }

static void on_detail(void *data, const struct store_reply *reply)
{
	struct telling *t = data;

	if (failed(t, t->id, reply)) {
		end(t);
		return;
	}
	t->detail = store_reply_copy(reply);
	resolve_batch(t);
}

/* HMGET cannot reach the result, which is a key of its own: a small script reads both. */
static void fetch_detail(struct telling *t)
{
	store_script(t->fleet->store, "detail", t->id, t->run, NULL, 0, on_detail, t);
}

static void take_batch(struct telling *t)
{
	if (!t->detail && has_joined(t->children))
		fetch_detail(t);
	else
		resolve_batch(t);
}

static void on_scanned(void *data, const struct store_reply *reply)
{
	struct telling *t = data;

	if (failed(t, t->id, reply) || fleet_says(reply, "stale")) {
		end(t);
		return;
	}
	t->scan = store_cursor_move(t->fleet->store, &t->cursor, store_text_at(reply, 0));
	store_reply_free(t->children);
	t->children = store_reply_copy(store_reply_at(reply, 1));
	t->next = 0;
	take_batch(t);
}

static void go_on(struct telling *t)
{
	if (may_be_forgotten(t)) {
		end(t);
		return;
	}
	if (t->next + 1 < store_reply_count(t->children)) {
		resolve_batch(t);
		return;
	}
	if (t->scan) {
		const struct store_arg args[] = {STORE_TEXT(t->epoch), STORE_TEXT(t->cursor.at),
						 STORE_TEXT(FLEET_BATCH_TEXT)};
		store_script(t->fleet->store, "children", t->id, t->run, args, 3, on_scanned, t);
		return;
	}
	release(t);
}

void fleet_tell(struct fleet *fleet, const char *id, const char *run, const char *state, const char *epoch,
		const char *dedup, const struct store_reply *children, size_t many, void (*done)(void *data),
		void *data)
{
	struct telling *t = xcalloc(1, sizeof *t);

	t->fleet = fleet;
	t->id = xstrdup(id);
	t->run = xstrdup(run ? run : "");
	t->state = xstrdup(state);
	t->epoch = xstrdup(epoch[0] ? epoch : "0");
	t->dedup = xstrdup(dedup);
	t->done = done;
	t->data = data;
	t->losses = store_losses(fleet->store);
	fleet->busy++;
	if (store_reply_count(children) > 0) {
		t->children = store_reply_copy(children);
		take_batch(t);
		return;
	}
	t->scan = many > 0;
	store_cursor_begin(fleet->store, &t->cursor);
	go_on(t);
}
