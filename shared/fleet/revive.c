/* After a retry: whoever was skipped for the job, down the graph. In two phases, so that nobody asks a predecessor that
 * will be revived in a moment: first every one of them waits again behind its guard, then each registration is
 * finished; at last those of the jobs that had joined others, so that the others have the key before. */
#include <stdio.h>
#include <uthash.h>

#include "base/fault.h"
#include "fleet/internal.h"

struct node {
	UT_hash_handle hh;
	struct node *later;
	struct revival *revival;
	bool queued; /* its dependents are to be read */
	bool joined; /* and was skipped with that one */
	char epoch[24];
	char id[];
};

/* A call about one edge; the child's id behind it. */
struct edge {
	struct revival *revival;
	struct node *from;
	char child[];
};

struct revival {
	struct fleet *fleet;
	struct node *nodes;        /* all that live again, by id, in the order they were found; the root first */
	struct node *first, *last; /* whose dependents are still to be read */
	struct node *reading;      /* whose are being read, up to `cursor` */
	struct store_cursor cursor;
	bool more;                /* of them */
	struct node *registering; /* the next one to be registered */
	size_t open;
	uint64_t losses; /* store_losses, when it began */
	bool joined;     /* in the second phase: it is their turn */
	void (*done)(void *data);
	void *data;
};

static void walk(struct revival *v);
static void begin(struct revival *v, const char *id);
static void revive_child(struct revival *v, struct node *from, const char *child);

static void queue_node(struct revival *v, struct node *node)
{
	if (node->queued)
		return;
	node->queued = true;
	node->later = NULL;
	if (v->last)
		v->last->later = node;
	else
		v->first = node;
	v->last = node;
}

/* One that is known may come again with a higher epoch: another revival's registration let it be skipped once more in
 * between, and with it those that had been read as its dependents. So they are read again. */
static struct node *add_node(struct revival *v, const char *id, const char *epoch)
{
	size_t len = strlen(id) + 1;
	struct node *node;

	HASH_FIND_STR(v->nodes, id, node);
	if (node && strtoll(epoch, NULL, 10) <= strtoll(node->epoch, NULL, 10))
		return node;
	if (!node) {
		node = xcalloc(1, sizeof *node + len);
		memcpy(node->id, id, len);
		node->revival = v;
		HASH_ADD_KEYPTR(hh, v->nodes, node->id, len - 1, node);
	}
	snprintf(node->epoch, sizeof node->epoch, "%s", epoch);
	queue_node(v, node);
	return node;
}

static void free_nodes(struct revival *v)
{
	struct node *node, *next;

	HASH_ITER(hh, v->nodes, node, next)
	{
		HASH_DEL(v->nodes, node);
		free(node);
	}
	v->first = v->last = NULL;
}

static void end(struct revival *v)
{
	struct fleet *fleet = v->fleet;

	if (store_losses(fleet->store) != v->losses) {
		/* somebody who was revived may be skipped again */
		char *id = xstrdup(v->nodes->id);
		free_nodes(v);
		begin(v, id);
		free(id);
		return;
	}
	fleet->busy--;
	v->done(v->data);
	free_nodes(v);
	free(v);
}

static void on_registered(void *data);

/* The second phase, a hundred at a time; those that joined others after all the rest. The root is finished by whoever
 * asked for the revival. */
static void register_some(struct revival *v)
{
	while (v->open < FLEET_BATCH && v->registering) {
		struct node *node = v->registering;

		v->registering = node->hh.next;
		if (node->joined != v->joined)
			continue;
		v->open++;
		fleet_register(v->fleet, node->id, strtoll(node->epoch, NULL, 10), false, on_registered, v);
	}
	if (v->open > 0)
		return;
	if (v->joined) {
		end(v);
		return;
	}
	v->joined = true;
	v->registering = v->nodes->hh.next;
	register_some(v);
}

static void on_registered(void *data)
{
	struct revival *v = data;

	v->open--;
	register_some(v);
}

static void read_dependents(struct revival *v);

static void step_done(struct revival *v)
{
	if (--v->open > 0)
		return;
	if (v->more)
		read_dependents(v);
	else
		walk(v);
}

static void on_resumed(void *data)
{
	struct edge *edge = data;
	struct revival *v = edge->revival;

	revive_child(v, edge->from, edge->child);
	free(edge);
	step_done(v);
}

static void on_revived(void *data, const struct store_reply *reply)
{
	struct edge *edge = data;
	struct revival *v = edge->revival;

	if (fleet_says(reply, "busy")) {
		fleet_resume(v->fleet, edge->child, on_resumed, edge);
		return;
	}
	if (fleet_says(reply, "revived") || fleet_says(reply, "joined"))
		add_node(v, edge->child, store_text_at(reply, 1))->joined = fleet_says(reply, "joined");
	free(edge);
	step_done(v);
}

static void revive_child(struct revival *v, struct node *from, const char *child)
{
	size_t len = strlen(child) + 1;
	struct edge *edge = xmalloc(sizeof *edge + len);
	const struct store_arg args[] = {STORE_TEXT(from->id), STORE_TEXT(from->epoch)};

	*edge = (struct edge){v, from};
	memcpy(edge->child, child, len);
	v->open++;
	store_script(v->fleet->store, "revive", child, NULL, args, 2, on_revived, edge);
}

static void on_dependents(void *data, const struct store_reply *reply)
{
	struct revival *v = data;
	const struct store_reply *children = store_reply_at(reply, 1);

	for (size_t i = 0; i + 1 < store_reply_count(children); i += 2)
		revive_child(v, v->reading, store_text_at(children, i));
	v->more = store_cursor_move(v->fleet->store, &v->cursor, store_text_at(reply, 0));
	step_done(v);
}

static void read_dependents(struct revival *v)
{
	v->open = 1;
	store_format(v->fleet->store, on_dependents, v, "HSCAN %k %s COUNT %d", KEY_DEPENDENTS, v->reading->id,
		     v->cursor.at, (int64_t)FLEET_ENTRIES);
}

static void walk(struct revival *v)
{
	struct node *node = v->first;

	if (!node) {
		FAULT_POINT(REVIVE_WALKED);
		v->registering = v->nodes->hh.next;
		register_some(v);
		return;
	}
	v->first = node->later;
	node->queued = false;
	if (!v->first)
		v->last = NULL;
	v->reading = node;
	store_cursor_begin(v->fleet->store, &v->cursor);
	read_dependents(v);
}

static void on_epoch(void *data, const struct store_reply *reply)
{
	struct node *root = data;

	snprintf(root->epoch, sizeof root->epoch, "%s", store_reply_nil(reply) ? "0" : store_reply_text(reply, NULL));
	walk(root->revival);
}

static void begin(struct revival *v, const char *id)
{
	v->losses = store_losses(v->fleet->store);
	v->joined = false;
	store_format(v->fleet->store, on_epoch, add_node(v, id, "0"), "HGET %k epoch", KEY_JOB, id);
}

void fleet_revive(struct fleet *fleet, const char *id, void (*done)(void *data), void *data)
{
	struct revival *v = xcalloc(1, sizeof *v);

	v->fleet = fleet;
	v->done = done;
	v->data = data;
	fleet->busy++;
	begin(v, id);
}
