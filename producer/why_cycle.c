/* Cycles: all that the job waits for, directly or not, is read; then what waits for nothing in there is taken away,
 * over and over. What is left waits for itself. */
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "why.h"

#define WALK_MAX 5000
#define NAMED 50

struct node {
	UT_hash_handle hh;
	char *id;
	struct node **preds;
	size_t count;
	bool free;  /* waits for nobody that is left */
	bool named; /* on the way along the cycle */
};

struct graph {
	struct node *nodes; /* by id, in the order they were found: the job itself first */
	size_t count;
};

static struct node *add_node(struct graph *graph, const char *id)
{
	struct node *node;

	HASH_FIND_STR(graph->nodes, id, node);
	if (node || graph->count >= WALK_MAX)
		return node;
	node = xcalloc(1, sizeof *node);
	node->id = xstrdup(id);
	HASH_ADD_KEYPTR(hh, graph->nodes, node->id, strlen(node->id), node);
	graph->count++;
	return node;
}

static void add_pred(struct graph *graph, struct node *node, const char *id)
{
	struct node *pred = strcmp(id, "~") != 0 ? add_node(graph, id) : NULL;

	if (!pred)
		return;
	node->preds = xrealloc(node->preds, (node->count + 1) * sizeof(struct node *));
	node->preds[node->count++] = pred;
}

/* A job that was skipped keeps what was not met: only one that waits has predecessors here. */
static int read_preds(const struct why *why, struct graph *graph, struct node *node, struct err *err)
{
	CLEANUP(store_reply_freep)
	struct store_reply *waiting = session_ask(why->session, "HGETALL", KEY_WAITING, node->id, err);
	CLEANUP(store_reply_freep) struct store_reply *state = NULL;

	if (!waiting)
		return err->code;
	state = store_sync(why->session->store, SESSION_ANSWER_MS, err, "HGET %k state", KEY_JOB, node->id);
	if (!state)
		return err->code;
	if (strcmp(store_reply_text(state, NULL), "waiting") != 0)
		return 0;
	for (size_t i = 0; i + 1 < store_reply_count(waiting); i += 2)
		add_pred(graph, node, store_text_at(waiting, i));
	return 0;
}

static bool set_free(struct node *node)
{
	if (node->free)
		return false;
	for (size_t i = 0; i < node->count; i++)
		if (!node->preds[i]->free)
			return false;
	return node->free = true;
}

static void peel(struct graph *graph)
{
	struct node *node, *next;
	bool changed = true;

	while (changed) {
		changed = false;
		HASH_ITER(hh, graph->nodes, node, next)
		changed |= set_free(node);
	}
}

/* One that is left; every node that is left has one. */
static struct node *first_left(const struct node *node)
{
	for (size_t i = 0; i < node->count; i++)
		if (!node->preds[i]->free)
			return node->preds[i];
	return NULL;
}

static void say_cycle(struct node *node)
{
	CLEANUP(buf_release) struct buf text = BUF_INIT;
	const struct node *start;
	size_t named = 0;

	for (; node && !node->named; node = first_left(node)) /* onto the cycle */
		node->named = true;
	if (!node)
		return;
	start = node;
	buf_adds(&text, node->id);
	do {
		node = first_left(node);
		if (node && (++named < NAMED || node == start))
			buf_addf(&text, "%s waits for %s", named == 1 ? "" : ", which", node->id);
	} while (node && node != start);
	why_say("these wait for one another, so none of them will ever run: %s", text.data);
	why_say("cancel one of them: flotilla cancel %s", start->id);
}

int why_cycle(const struct why *why, struct err *err)
{
	struct graph graph = {0};
	struct node *root = add_node(&graph, why->id), *node, *next;
	int r = 0;

	for (node = root; node && r == 0; node = node->hh.next)
		r = read_preds(why, &graph, node, err);
	peel(&graph);
	if (r == 0 && root && !root->free)
		say_cycle(root);
	HASH_ITER(hh, graph.nodes, node, next)
	{
		HASH_DEL(graph.nodes, node);
		free(node->preds);
		free(node->id);
		free(node);
	}
	return r;
}
