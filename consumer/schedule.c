/* What starts next. Levels are strict: the oldest job of the highest level that has one. So that `low` is never
 * starved, every tenth start at least goes to the job that has been held longest beyond the aging time, if there is one
 * below. */
#include <stdlib.h>
#include <utlist.h>

#include "base/buf.h"
#include "base/clock.h"
#include "worker.h"

struct item *item_new(struct worker *worker, size_t level, uint64_t generation, uint64_t tag, const char *id)
{
	struct item *item = xcalloc(1, sizeof *item);

	item->worker = worker;
	item->level = level;
	item->generation = generation;
	item->tag = tag;
	item->id = id ? xstrdup(id) : NULL;
	item->since = clock_mono_ms();
	worker->items++;
	return item;
}

void item_free(struct item *item)
{
	item->worker->items--;
	item->worker->dirty = true;
	if (item->decoded)
		job_release(&item->job);
	free(item->id);
	free(item->dir);
	free(item);
}

/* In the order of delivery: admissions are answered by several connections, and may overtake each other. */
static void insert(struct level *level, struct item *item)
{
	struct item *before = level->held ? level->held->prev : NULL; /* the last one */

	while (before && before->generation == item->generation && before->tag > item->tag)
		before = before == level->held ? NULL : before->prev;
	if (before)
		DL_APPEND_ELEM(level->held, before, item);
	else
		DL_PREPEND(level->held, item);
}

void schedule_hold(struct item *item)
{
	struct level *level = &item->worker->levels[item->level];

	item->state = ITEM_HELD;
	item->since = clock_mono_ms();
	insert(level, item);
	level->held_count++;
	item->worker->dirty = true;
}

void schedule_unhold(struct item *item)
{
	struct level *level = &item->worker->levels[item->level];

	DL_DELETE(level->held, item);
	level->held_count--;
}

size_t schedule_held(const struct worker *worker)
{
	size_t held = 0;
	for (size_t i = 0; i < worker->level_count; i++)
		held += worker->levels[i].held_count;
	return held;
}

size_t schedule_free_slots(const struct worker *worker)
{
	size_t slots = (size_t)worker->options.slots;
	return worker->running_count < slots ? slots - worker->running_count : 0;
}

/* The oldest of those that have waited beyond the aging time, whatever their level. */
static struct item *aged(struct worker *worker, const struct item *than)
{
	int64_t limit = clock_mono_ms() - worker->options.aging_ms;
	struct item *oldest = NULL;

	for (size_t i = than->level + 1; i < worker->level_count; i++) {
		struct item *item = worker->levels[i].held;
		if (item && item->since <= limit && (!oldest || item->since < oldest->since))
			oldest = item;
	}
	return oldest;
}

static struct item *next_item(struct worker *worker)
{
	struct item *first = NULL, *old;

	for (size_t i = 0; i < worker->level_count && !first; i++)
		first = worker->levels[i].held;
	if (!first || worker->starts % 10 != 9)
		return first;
	old = aged(worker, first);
	return old ? old : first;
}

void schedule_run(struct worker *worker)
{
	struct item *item;

	worker->dirty = false;
	if (worker->draining || !store_up(worker->store))
		return;
	while ((item = next_item(worker)) && (schedule_free_slots(worker) > 0 || item->instant)) {
		worker->starts++;
		schedule_unhold(item);
		claim_item(item);
	}
	if (worker->yielding && schedule_free_slots(worker) > 0)
		worker->yielding = false; /* a slot has come free: intake_tick begins to consume again */
}
