/* Overdue invitations, for the caretaker. What is owed and still queued is published again where its queue shows no
 * message ready, so that a backlog is never doubled: its own invitation may be among what lies there. One that was
 * never confirmed is published behind a backlog as well, once: whoever was to send it may have died, and such a queue
 * need never run empty. A queue is asked once for all that wait for its answer. */
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "base/buf.h"
#include "base/fault.h"
#include "worker.h"

#define BUSY_MS 10000 /* an invitation is left alone for so long where its queue has messages ready */
#define BUSY_MAX_MS (5 * 60 * 1000)
#define BUSY_PART                                                                                                      \
	10 /* and for this part of the time since its job was queued: a backlog that is old is looked at less often */

#define CONFIRMED_MS 300000 /* by which invited.lua moves an entry on */
#define UNSENT_MS 60000     /* it is on its way for less */

struct overdue {
	struct overdue *prev, *next;
	struct worker *worker;
	int64_t redis_now, owed_at; /* owed_at: as the outbox had it */
	char *pool, *priority, *task, *queued_at;
	char id[];
};

/* A queue that has been asked and has not answered. */
struct asked_queue {
	UT_hash_handle hh;
	struct worker *worker;
	struct overdue *waiting;
	char name[TOPOLOGY_NAME_MAX];
};

static void overdue_free(struct overdue *o)
{
	free(o->pool);
	free(o->priority);
	free(o->task);
	free(o->queued_at);
	free(o);
}

static void invite(struct overdue *o)
{
	o->worker->counts.care[COUNT_CARE_OUTBOX]++;
	fleet_invite(o->worker->fleet, o->id, o->pool, o->priority, o->task, o->queued_at);
}

/* There are messages in its queue. */
static void look_behind(struct overdue *o)
{
	int64_t queued_at = strtoll(o->queued_at, NULL, 10), age = o->redis_now - queued_at, ms = age / BUSY_PART;

	if (o->owed_at < queued_at + CONFIRMED_MS && age >= UNSENT_MS && !store_full(o->worker->store)) {
		ms = CONFIRMED_MS;
		invite(o);
	}
	if (ms > BUSY_MS)
		caretaker_put_off(o->worker, KEY_OUTBOX, o->id, o->redis_now + (ms < BUSY_MAX_MS ? ms : BUSY_MAX_MS));
}

static void decide(struct overdue *o, int64_t messages)
{
	FAULT_POINT(OVERDUE_READY);
	if (messages > 0)
		look_behind(o);
	else if (messages == 0 || messages == -1)
		invite(o);
	overdue_free(o);
}

static void on_depth(void *data, int64_t messages, int64_t consumers)
{
	struct asked_queue *queue = data;
	struct overdue *waiting = queue->waiting, *o, *next;

	(void)consumers;
	HASH_DEL(queue->worker->asked_queues, queue);
	free(queue);
	DL_FOREACH_SAFE(waiting, o, next)
	decide(o, messages);
}

static void ask(struct overdue *o)
{
	struct worker *worker = o->worker;
	struct asked_queue *queue;
	char name[TOPOLOGY_NAME_MAX];

	topology_queue(name, worker->options.prefix, o->pool, o->priority);
	HASH_FIND_STR(worker->asked_queues, name, queue);
	if (!queue) {
		queue = xcalloc(1, sizeof *queue);
		queue->worker = worker;
		memcpy(queue->name, name, strlen(name) + 1);
		HASH_ADD_STR(worker->asked_queues, name, queue);
		publisher_depth(worker->publisher, name, on_depth, queue);
	}
	DL_APPEND(queue->waiting, o);
}

/* While Redis is full, new messages wait here unadmitted and fill what the broker sends ahead; invitations lie behind
 * them. An entry of the outbox says as much as an invitation: what has a slot free here is begun without one. */
static bool take_without_message(struct worker *worker, const struct overdue *o)
{
	if (!store_full(worker->store) || worker->draining || strcmp(o->pool, worker->options.pool) != 0 ||
	    schedule_held(worker) >= schedule_free_slots(worker))
		return false;
	for (size_t i = 0; i < worker->level_count; i++)
		if (strcmp(worker->levels[i].name, o->priority) == 0) {
			schedule_hold(item_new(worker, i, worker->intake.generation, 0, o->id));
			return true;
		}
	return false;
}

static void on_owed(void *data, const struct store_reply *reply)
{
	struct overdue *o = data;

	if (strcmp(store_text_at(reply, 0), "queued") != 0) {
		overdue_free(o);
		return;
	}
	o->pool = xstrdup(store_text_at(reply, 1));
	o->priority = xstrdup(store_text_at(reply, 2));
	o->task = xstrdup(store_text_at(reply, 3));
	o->queued_at = xstrdup(store_text_at(reply, 4));
	if (take_without_message(o->worker, o))
		overdue_free(o);
	else
		ask(o);
}

void overdue_sweep(struct worker *worker, const struct store_reply *entries, int64_t redis_now)
{
	for (size_t i = 0; i + 1 < store_reply_count(entries); i += 2) {
		const char *id = store_text_at(entries, i);
		size_t len = strlen(id) + 1;
		struct overdue *o = xcalloc(1, sizeof *o + len);
		o->worker = worker;
		o->redis_now = redis_now;
		o->owed_at = store_int_at(entries, i + 1);
		memcpy(o->id, id, len);
		caretaker_put_off(worker, KEY_OUTBOX, id, redis_now + BUSY_MS);
		/* one script, since what is not queued is struck off: it may be queued again a moment later */
		store_script(worker->store, "owe", id, NULL, NULL, 0, on_owed, o);
	}
}
