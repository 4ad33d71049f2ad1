/* What starts next. Levels are strict: the oldest job of the highest level that has one. So that `low` is never
 * starved, every tenth start at least goes to the job that has been queued longest beyond the aging time, if there is
 * one below. An invitation does not say since when its job is queued: where higher work waits, Redis is asked. */
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "base/buf.h"
#include "base/clock.h"
#include "worker.h"

#define FRESH_MS 200 /* a job that has not begun by then is admitted, so that people see it */

struct item *item_new(struct worker *worker, size_t level, uint64_t generation, uint64_t tag, const char *id)
{
	struct item *item = xcalloc(1, sizeof *item);

	item->worker = worker;
	item->level = level;
	item->generation = generation;
	item->tag = tag;
	item->id = id ? xstrdup(id) : NULL;
	item->since = item->queued = clock_mono_ms();
	worker->items++;
	return item;
}

struct log_job item_log(const struct item *item) { return (struct log_job){item->id, item->job.run, item->attempt_no}; }

void item_forget_news(struct item *item)
{
	free(item->news.progress);
	free(item->news.tail);
	item->news = (struct item_news){.dir = false};
}

void item_free(struct item *item)
{
	item->worker->items--;
	item->worker->dirty = true;
	if (item->decoded)
		job_release(&item->job);
	free(item->id);
	free(item->dir);
	free(item->said);
	free(item->dependent);
	item_forget_news(item);
	ahead_forget_results(item);
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

/* --- since when a job is queued --- */

void schedule_queued_at(struct item *item, int64_t queued_at)
{
	int64_t queued = queued_at - item->worker->redis_ahead_ms;

	if (queued_at > 0 && item->worker->redis_ahead_ms && queued < item->queued)
		item->queued = queued;
}

/* The item may be gone when the answer comes, so it is looked for again. */
struct question {
	struct worker *worker;
	size_t level;
	char id[];
};

static void on_queued_at(void *data, const struct store_reply *reply)
{
	struct question *question = data;
	struct item *item = question->worker->levels[question->level].held;

	while (item && strcmp(item->id, question->id) != 0)
		item = item->next;
	if (item)
		schedule_queued_at(item, store_reply_int(reply));
	free(question);
}

static void ask_queued_at(struct item *item)
{
	size_t len = strlen(item->id) + 1;
	struct question *question;

	/* what came in a message is queued since it was taken in; without Redis' clock its time says nothing */
	if (item->decoded || item->asked || item->worker->redis_ahead_ms == 0)
		return;
	item->asked = true;
	question = xmalloc(sizeof *question + len);
	*question = (struct question){item->worker, item->level};
	memcpy(question->id, item->id, len);
	store_format(item->worker->store, on_queued_at, question, "HGET %k queued_at", KEY_JOB, item->id);
}

static bool higher_waits(const struct item *than)
{
	for (size_t i = 0; i < than->level; i++)
		if (than->worker->levels[i].held)
			return true;
	return false;
}

/* --- holding --- */

void schedule_hold(struct item *item)
{
	struct level *level = &item->worker->levels[item->level];

	item->state = ITEM_HELD;
	item->since = clock_mono_ms();
	insert(level, item);
	level->held_count++;
	item->worker->dirty = true;
	if (higher_waits(item))
		ask_queued_at(item);
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

/* The oldest of those that have been queued beyond the aging time, whatever their level. */
static struct item *aged(struct worker *worker, const struct item *than)
{
	int64_t limit = clock_mono_ms() - worker->options.aging_ms;
	struct item *oldest = NULL, *item;

	for (size_t i = than->level + 1; i < worker->level_count; i++)
		DL_FOREACH(worker->levels[i].held, item)
		{
			ask_queued_at(item);
			if (item->queued <= limit && (!oldest || item->queued < oldest->queued))
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
	if (!old)
		return first;
	old->aged = true;
	return old;
}

/* From half of what is wanted it is filled up, so that claims go together: `low` is found out once for each rank. */
struct filling {
	size_t rank;
	bool low;
};

static bool may_claim(struct worker *worker, const struct item *item, struct filling *filling)
{
	size_t rank = ahead_rank(item);

	if (schedule_free_slots(worker) > 0 || item->instant)
		return true;
	if (item->slot_only)
		return false;
	if (filling->rank != rank)
		*filling = (struct filling){rank, ahead_low(worker, rank)};
	return filling->low && ahead_room(worker, rank);
}

static void admit_fresh(struct worker *worker, int64_t than)
{
	struct item *item, *next;

	for (size_t i = 0; i < worker->level_count; i++)
		DL_FOREACH_SAFE(worker->levels[i].held, item, next)
		{
			if (!item->fresh || item->since > than)
				continue;
			schedule_unhold(item);
			deliver_admit(item);
		}
}

void schedule_tick(struct worker *worker)
{
	admit_fresh(worker, ahead_soon(worker) ? clock_mono_ms() - FRESH_MS : INT64_MAX);
}

/* One step: a slot is given to who waits for one, or a job is claimed. */
static bool start_one(struct worker *worker, struct filling *filling)
{
	struct item *ready = worker->ahead.ready, *item = next_item(worker);

	if (ready && schedule_free_slots(worker) > 0 && !(item && ahead_goes_first(item))) {
		attempt_go_on(ready);
		return true;
	}
	if (!item || !may_claim(worker, item, filling))
		return false;
	worker->starts++;
	schedule_unhold(item);
	if (item->fresh)
		claim_fresh(item);
	else
		claim_item(item);
	return true;
}

void schedule_run(struct worker *worker)
{
	struct filling filling = {.rank = WORKER_LEVELS};

	worker->dirty = false;
	if (worker->draining || !store_up(worker->store))
		return;
	if (store_full(worker->store)) /* what waits to be admitted must not keep a place from what is known */
		admit_fresh(worker, INT64_MAX);
	while (start_one(worker, &filling))
		;
	if (worker->yielding && schedule_free_slots(worker) > 0) {
		worker->yielding = false;
		intake_consume(worker);
	}
}
