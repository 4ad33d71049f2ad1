/* Predecessors, one by one; the registration that is not finished; the job that this one joined; cycles. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "cause.h"
#include "record.h"
#include "why.h"

#define LISTED 20
#define WALK_MAX 5000

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

/* --- cycles --- */

/* A job that waits, reached over `via` from the one that was asked about. */
struct node {
	UT_hash_handle hh;
	struct node *via, *next;
	char *id;
};

struct walk {
	const struct why *why;
	struct node *nodes, *last;
	size_t count;
};

static void add(struct walk *walk, const char *id, struct node *via)
{
	struct node *node;

	HASH_FIND_STR(walk->nodes, id, node);
	if (node || walk->count >= WALK_MAX)
		return;
	node = xcalloc(1, sizeof *node);
	node->id = xstrdup(id);
	node->via = via;
	HASH_ADD_KEYPTR(hh, walk->nodes, node->id, strlen(node->id), node);
	if (walk->last)
		walk->last->next = node;
	walk->last = node;
	walk->count++;
}

/* From `node` back to `to`, if that is on its way. */
static bool leads_back(const struct node *node, const char *to)
{
	for (; node; node = node->via)
		if (strcmp(node->id, to) == 0)
			return true;
	return false;
}

static void say_cycle(const struct node *node, const char *to)
{
	CLEANUP(buf_release) struct buf text = BUF_INIT;
	CLEANUP(buf_release) struct buf names = BUF_INIT;

	for (const struct node *at = node; at; at = at->via) {
		buf_reset(&text);
		buf_addf(&text, "%s, which waits for %s", at->id, names.len ? names.data : to);
		buf_reset(&names);
		buf_add(&names, text.data, text.len);
		if (strcmp(at->id, to) == 0)
			break;
	}
	why_say("these wait for one another, so none of them will ever run: %s", names.data);
	why_say("cancel one of them: flotilla cancel %s", to);
}

/* Goes on from one job; true where it closes a cycle. */
static int visit(struct walk *walk, struct node *node, bool *ret_found, struct err *err)
{
	CLEANUP(store_reply_freep)
	struct store_reply *waiting = session_ask(walk->why->session, "HGETALL", KEY_WAITING, node->id, err);
	CLEANUP(store_reply_freep) struct store_reply *state = NULL;

	if (!waiting)
		return err->code;
	state = store_sync(walk->why->session->store, SESSION_ANSWER_MS, err, "HGET %k state", KEY_JOB, node->id);
	if (!state)
		return err->code;
	if (strcmp(store_reply_text(state, NULL), "waiting") != 0)
		return 0; /* a skipped job keeps what was not met */
	for (size_t i = 0; i + 1 < store_reply_count(waiting); i += 2) {
		const char *id = store_text_at(waiting, i);
		if (leads_back(node, id)) {
			say_cycle(node, id);
			*ret_found = true;
			return 0;
		}
		if (strcmp(id, "~") != 0)
			add(walk, id, node);
	}
	return 0;
}

int why_cycle(const struct why *why, struct err *err)
{
	struct walk walk = {.why = why};
	struct node *node, *next;
	bool found = false;
	int r = 0;

	add(&walk, why->id, NULL);
	for (node = walk.nodes; node && !found && r == 0; node = node->next)
		r = visit(&walk, node, &found, err);
	HASH_ITER(hh, walk.nodes, node, next)
	{
		HASH_DEL(walk.nodes, node);
		free(node->id);
		free(node);
	}
	return r;
}
