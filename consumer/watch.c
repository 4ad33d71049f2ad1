/* A queue that is deleted and declared again at once can lose its consumers without a word: the broker does not cancel
 * them, and they get nothing any more; or it even counts them as consumers of the new queue, and what it gives them
 * never comes. So the broker is asked now and then whether each queue has the mark that workers gave it (topology.h),
 * which goes with the queue; where it has not, the session begins anew, and what was given in vain comes again. Whoever
 * finds that tells the others of its pool, whose sessions begin anew as well, for it marks the new queue: they may not
 * have looked yet, or be without a mark (of an older version, or without the right to it). Those have other signs: the
 * queue is gone; it has no consumers; messages lie ready, this worker has room for them, and look after look none has
 * come. And for what all this overlooks, a session by which nothing has come for long is replaced. */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "worker.h"

#define LOOK_MS 3000
#define DRY_LOOKS 3
#define IDLE_MS (10 * 60 * 1000)

struct look {
	struct worker *worker;
	struct level *level;
	uint64_t generation;
	char tag[40];
};

static bool same_session(const struct look *look)
{
	const struct worker *worker = look->worker;

	return worker->intake.broker && worker->intake.generation == look->generation && !worker->finished;
}

static bool same_consumer(const struct look *look)
{
	return same_session(look) && look->level->consume == CONSUME_ON && strcmp(look->level->tag, look->tag) == 0;
}

static void lost(const struct look *look, const char *how)
{
	struct err err;

	err_set(&err, ERR_SERVICE, "the queue %s %s", look->level->queue, how);
	watch_tell(look->worker);
	intake_lost(look->worker, &err);
}

/* Nothing that was delivered is unacknowledged but what runs, and there are slots for more. */
static bool has_room(const struct worker *worker)
{
	return worker->items == worker->running_count && schedule_free_slots(worker) > 0 && !worker->intake.late &&
	       !worker->draining;
}

static bool run_dry(struct worker *worker, struct level *level, int64_t messages)
{
	bool dry = messages > 0 && level->delivered == level->seen && has_room(worker);

	level->seen = level->delivered;
	level->dry = dry ? level->dry + 1 : 0;
	return level->dry >= DRY_LOOKS;
}

static void on_depth(void *data, int64_t messages, int64_t consumers)
{
	struct look *look = data;

	if (same_consumer(look) &&
	    (messages == -1 || (messages >= 0 && consumers == 0) || run_dry(look->worker, look->level, messages)))
		lost(look, messages == -1 ? "is gone" : "has lost its consumer");
	free(look);
}

static void on_mark(void *data, int64_t there, int64_t ignored)
{
	struct look *look = data;

	(void)ignored;
	if (same_session(look) && there == -1)
		lost(look, "was deleted, and declared again");
	free(look);
}

/* --- the others --- */

static void on_workers(void *data, const struct store_reply *reply)
{
	struct worker *worker = data;

	for (size_t i = 0; i < store_reply_count(reply); i++)
		if (strcmp(store_text_at(reply, i), worker->options.name) != 0)
			store_format(worker->store, NULL, NULL, "PUBLISH %k " WATCH_AGAIN "%s", KEY_WORKER,
				     store_text_at(reply, i), worker->options.pool);
}

void watch_tell(struct worker *worker)
{
	worker->intake.told = true;
	if (store_up(worker->store))
		store_format(worker->store, on_workers, worker, "ZRANGE %k 0 -1", KEY_WORKERS, "");
}

/* By chance earlier or later, so that a fleet does not do it in step. */
static void replace_idle(struct worker *worker, int64_t now)
{
	struct intake *intake = &worker->intake;

	if (worker->items > 0 || worker->draining || now < intake->idle_until)
		return;
	log_debug("nothing has come for long: a new session with the broker");
	intake_replace(worker);
}

void watch_delivered(struct worker *worker)
{
	worker->intake.idle_until = clock_mono_ms() + random_between(IDLE_MS / 2, IDLE_MS);
}

static struct look *look_at(struct worker *worker, struct level *level)
{
	struct look *look = xcalloc(1, sizeof *look);

	*look = (struct look){.worker = worker, .level = level, .generation = worker->intake.generation};
	memcpy(look->tag, level->tag, sizeof look->tag);
	return look;
}

void watch_tick(struct worker *worker)
{
	int64_t now = clock_mono_ms();

	if (now - worker->intake.watched_at < LOOK_MS || !worker->intake.broker || !publisher_up(worker->publisher))
		return;
	worker->intake.watched_at = now;
	replace_idle(worker, now);
	if (!worker->intake.broker)
		return;
	for (size_t i = 0; i < worker->level_count; i++) {
		struct level *level = &worker->levels[i];
		if (level->consume != CONSUME_ON)
			continue;
		if (level->marked)
			publisher_mark(worker->publisher, level->queue, on_mark, look_at(worker, level));
		publisher_depth(worker->publisher, level->queue, on_depth, look_at(worker, level));
	}
}
