/* What jobs wait for. A job and its predecessor are two, and are never read at one instant: whoever is on its way from
 * one to the other is not there any more at the second look. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "doctor/doctor.h"

#define AT_ONCE 1000
#define DUPLICATE "duplicate"

/* An entry of `waiting`, and what there is of the predecessor. */
struct edge {
	const struct view *view;
	const char *pred, *when;
	struct store_reply *record; /* state, ended_at, epoch */
	struct store_reply *listed; /* the job among its dependents */
	struct store_reply *telling;
};

struct edges {
	struct edge at[AT_ONCE];
	size_t count;
};

static void edges_clear(struct edges *edges)
{
	for (size_t i = 0; i < edges->count; i++) {
		store_reply_free(edges->at[i].record);
		store_reply_free(edges->at[i].listed);
		store_reply_free(edges->at[i].telling);
	}
	edges->count = 0;
}

static void judge_join(const struct edge *edge, const char *state, const char *sign, struct findings *into)
{
	if (!*state)
		found(into, KIND_BROKEN_JOIN, edge->view->id, sign, "it has joined %s, of which there is no record",
		      edge->pred);
	else
		found(into, KIND_BROKEN_JOIN, edge->view->id, sign, "it has joined %s, which has ended (%s) without it",
		      edge->pred, state);
}

/* `succeeded@2` counts from epoch 2 on. */
static bool counts(const struct edge *edge)
{
	const char *since = strchr(edge->when, '@');
	return !since || store_int_at(edge->record, 2) >= strtoll(since + 1, NULL, 10);
}

static void judge(struct doctor *doctor, const struct edge *edge, struct findings *into)
{
	const char *state = store_text_at(edge->record, 0);
	bool ended = *store_text_at(edge->record, 1), joined = strcmp(edge->when, DUPLICATE) == 0;
	bool listed = !store_reply_nil(edge->listed);
	CLEANUP(buf_release) struct buf sign = BUF_INIT;

	buf_addf(&sign, "%s %s", edge->view->sign, edge->pred);
	if (doctor->survey && strcmp(state, "waiting") == 0)
		cycles_add(&doctor->cycles, edge->view->id, edge->pred);
	if (joined && (!*state || (ended && store_reply_nil(edge->telling)))) {
		judge_join(edge, state, sign.data, into);
	} else if (ended) {
		if (store_reply_nil(edge->telling) && counts(edge))
			found(into, KIND_NOT_TOLD, edge->view->id, sign.data,
			      "it waits for %s, which has ended (%s), and nothing says that it has to be told",
			      edge->pred, state);
	} else if (!listed) {
		found(into, KIND_NOT_LISTED, edge->view->id, sign.data,
		      "it waits for %s, which does not list it among its dependents: it would not be told", edge->pred);
	} else if (!*state) {
		found(into, KIND_UNKNOWN_PREDECESSOR, edge->pred, "",
		      "nobody has submitted it, or it is kept no more; %s waits for it", edge->view->id);
	}
}

static int flush(struct doctor *doctor, struct edges *edges, struct findings *into, struct err *err)
{
	int r;

	for (size_t i = 0; i < edges->count; i++) {
		struct edge *edge = &edges->at[i];
		doctor_ask(doctor, &edge->record, "HMGET %k state ended_at epoch", KEY_JOB, edge->pred);
		doctor_ask(doctor, &edge->listed, "HGET %k %s", KEY_DEPENDENTS, edge->pred, edge->view->id);
		doctor_ask(doctor, &edge->telling, "ZSCORE %k %s", KEY_SETTLING, "", edge->pred);
	}
	r = doctor_wait(doctor, err);
	for (size_t i = 0; i < edges->count && r == 0; i++)
		judge(doctor, &edges->at[i], into);
	edges_clear(edges);
	return r;
}

static void check_count(const struct view *view, struct findings *into)
{
	if (view_entries(view) == 0)
		found(into, KIND_WAITS_FOR_NOTHING, view->id, view->sign,
		      "it is waiting, and there is nothing left that it waits for: nobody would ever queue it");
	else if (view_int(view, VIEW_PENDING) != view_entries(view))
		found(into, KIND_PENDING_DIFFERS, view->id, view->sign, "its pending is %s, and it waits for %lld",
		      view_text(view, VIEW_PENDING), (long long)view_entries(view));
}

int check_waiting(struct doctor *doctor, const struct view *views, size_t count, struct findings *into, struct err *err)
{
	CLEANUP(freep) struct edges *edges = xcalloc(1, sizeof *edges);
	int r = 0;

	for (size_t i = 0; i < count && r == 0; i++) {
		const struct view *view = &views[i];
		const struct store_reply *waiting = view_waiting(view);
		if (view->state != JOB_WAITING)
			continue;
		check_count(view, into);
		/* behind the guard all of it is still to be done */
		for (size_t j = 0; j + 1 < store_reply_count(waiting) && r == 0 && !view_guarded(view); j += 2) {
			if (edges->count == AT_ONCE)
				r = flush(doctor, edges, into, err);
			if (r == 0)
				edges->at[edges->count++] = (struct edge){.view = view,
									  .pred = store_text_at(waiting, j),
									  .when = store_text_at(waiting, j + 1)};
		}
	}
	return r == 0 ? flush(doctor, edges, into, err) : (edges_clear(edges), r);
}

/* --- those that wait for one that nobody knows --- */

struct child {
	struct store_reply *state, *entry;
};

/* One of them that waits will do. One that was cancelled or skipped keeps what it waited for, and waits no more. */
static int judge_placeholder(struct doctor *doctor, const char *id, const struct store_reply *children,
			     struct findings *into, struct err *err)
{
	size_t count = store_reply_count(children) / 2;
	CLEANUP(freep) struct child *at = xcalloc(count + 1, sizeof *at);
	bool waits = false;
	int r;

	for (size_t i = 0; i < count; i++) {
		doctor_ask(doctor, &at[i].state, "HGET %k state", KEY_JOB, store_text_at(children, 2 * i));
		doctor_ask(doctor, &at[i].entry, "HEXISTS %k %s", KEY_WAITING, store_text_at(children, 2 * i), id);
	}
	r = doctor_wait(doctor, err);
	for (size_t i = 0; i < count; i++) {
		waits = waits ||
			(strcmp(store_reply_text(at[i].state, NULL), "waiting") == 0 && store_reply_int(at[i].entry));
		store_reply_free(at[i].state);
		store_reply_free(at[i].entry);
	}
	if (r == 0 && !waits && count > 0)
		found(into, KIND_PLACEHOLDER, id, "",
		      "it is known only as a predecessor, and of its %zu dependents none waits for it any more", count);
	return r;
}

/* Those with many dependents are left alone: it is only a note. */
int check_placeholders(struct doctor *doctor, const struct view *views, size_t count, struct findings *into,
		       struct err *err)
{
	CLEANUP(freep) struct store_reply **pages = xcalloc(count + 1, sizeof(struct store_reply *));
	int r;

	for (size_t i = 0; i < count && doctor->survey; i++)
		if (!store_reply_error(views[i].reply) && view_goes(&views[i], HAS_JOB) == -2 &&
		    view_goes(&views[i], HAS_DEPENDENTS) == -1)
			doctor_ask(doctor, &pages[i], "HSCAN %k 0 COUNT 100", KEY_DEPENDENTS, views[i].id);
	r = doctor_wait(doctor, err);
	for (size_t i = 0; i < count; i++) {
		if (r == 0 && pages[i] && strcmp(store_text_at(pages[i], 0), "0") == 0)
			r = judge_placeholder(doctor, views[i].id, store_reply_at(pages[i], 1), into, err);
		store_reply_free(pages[i]);
	}
	return r;
}

/* --- dedup keys --- */

int check_keys_held(struct doctor *doctor, const struct view *views, size_t count, struct findings *into,
		    struct err *err)
{
	CLEANUP(freep) struct store_reply **holders = xcalloc(count + 1, sizeof(struct store_reply *));
	CLEANUP(buf_release) struct buf sign = BUF_INIT;
	int r;

	for (size_t i = 0; i < count; i++)
		if (views[i].live && *view_text(&views[i], VIEW_DEDUP) && !*view_text(&views[i], VIEW_DUPLICATE_OF) &&
		    !view_guarded(&views[i]))
			doctor_ask(doctor, &holders[i], "GET %k", KEY_DEDUP, view_text(&views[i], VIEW_DEDUP));
	r = doctor_wait(doctor, err);
	for (size_t i = 0; i < count; i++) {
		const char *holder = store_reply_text(holders[i], NULL);
		buf_reset(&sign);
		buf_addf(&sign, "%lld %s", (long long)view_int(&views[i], VIEW_EPOCH),
			 view_text(&views[i], VIEW_DEDUP));
		if (r == 0 && holders[i] && strcmp(holder, views[i].id) != 0)
			found(into, KIND_DEDUP_UNHELD, views[i].id, sign.data,
			      "it is the job of the dedup key %s, which %s%s: another one would not join it",
			      view_text(&views[i], VIEW_DEDUP), *holder ? "is held by " : "nobody holds", holder);
		store_reply_free(holders[i]);
	}
	return r;
}
