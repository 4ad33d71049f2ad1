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

/* Whether `child` waits for `id`. One that was cancelled or skipped keeps what it waited for, and waits no more. */
static int child_waits(struct doctor *doctor, const char *child, const char *id, bool *ret, struct err *err)
{
	CLEANUP(store_reply_freep) struct store_reply *state = doctor_one(doctor, err, "HGET %k state", KEY_JOB, child);
	CLEANUP(store_reply_freep)
	struct store_reply *entry = state ? doctor_one(doctor, err, "HEXISTS %k %s", KEY_WAITING, child, id) : NULL;

	if (!entry)
		return err->code;
	*ret = strcmp(store_reply_text(state, NULL), "waiting") == 0 && store_reply_int(entry) == 1;
	return 0;
}

/* Whether one of them still waits for `id`; they are read a page at a time, and the first one will do. */
static int any_waits(struct doctor *doctor, const char *id, bool *ret, struct err *err)
{
	CLEANUP(freep) char *cursor = xstrdup("0");

	*ret = false;
	do {
		CLEANUP(store_reply_freep)
		struct store_reply *page = doctor_one(doctor, err, "HSCAN %k %s COUNT 100", KEY_DEPENDENTS, id, cursor);
		const struct store_reply *children = store_reply_at(page, 1);
		if (!page)
			return err->code;
		for (size_t i = 0; i + 1 < store_reply_count(children) && !*ret; i += 2)
			if (child_waits(doctor, store_text_at(children, i), id, ret, err) < 0)
				return err->code;
		free(cursor);
		cursor = xstrdup(store_text_at(page, 0));
	} while (!*ret && strcmp(cursor, "0") != 0);
	return 0;
}

int check_placeholders(struct doctor *doctor, const struct view *views, size_t count, struct findings *into,
		       struct err *err)
{
	for (size_t i = 0; i < count; i++) {
		bool waits;
		if (store_reply_error(views[i].reply) || view_goes(&views[i], HAS_JOB) != -2 ||
		    view_goes(&views[i], HAS_DEPENDENTS) != -1)
			continue;
		if (any_waits(doctor, views[i].id, &waits, err) < 0)
			return err->code;
		if (!waits)
			found(into, KIND_PLACEHOLDER, views[i].id, "",
			      "it is known only as a predecessor, and of its %lld dependents none waits for it any "
			      "more",
			      (long long)view_dependents(&views[i]));
	}
	return 0;
}

/* --- dedup keys --- */

int check_keys_held(struct doctor *doctor, const struct view *views, size_t count, struct findings *into,
		    struct err *err)
{
	CLEANUP(freep) struct store_reply **holders = xcalloc(count + 1, sizeof(struct store_reply *));
	int r;

	for (size_t i = 0; i < count; i++)
		if (views[i].live && *view_text(&views[i], VIEW_DEDUP) && !*view_text(&views[i], VIEW_DUPLICATE_OF) &&
		    !view_guarded(&views[i]))
			doctor_ask(doctor, &holders[i], "GET %k", KEY_DEDUP, view_text(&views[i], VIEW_DEDUP));
	r = doctor_wait(doctor, err);
	for (size_t i = 0; i < count; i++) {
		const char *holder = store_reply_text(holders[i], NULL);
		if (r == 0 && holders[i] && strcmp(holder, views[i].id) != 0)
			found(into, KIND_DEDUP_UNHELD, views[i].id, view_text(&views[i], VIEW_DEDUP),
			      "it is the job of the dedup key %s, which %s%s: another one would not join it",
			      view_text(&views[i], VIEW_DEDUP), *holder ? "is held by " : "nobody holds", holder);
		store_reply_free(holders[i]);
	}
	return r;
}
