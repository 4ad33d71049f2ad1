/* Claimed ahead: while jobs here are short, the next ones are claimed before a slot is free, some in one turn with
 * Redis, so that a slot that comes free has its next job at once. They wait as `ready`, running for Redis, with a
 * lease.
 *
 * How many: what the slots get done in AHEAD_MS, by the time that the last jobs took in theirs; none where that is
 * longer than SHORT_MS. Where one of the last hundreds took longer, so that what is claimed may have to wait behind
 * another such, it is one, and none while another worker is idle. A slot whose job goes on for longer than STUCK_MS
 * gets nothing done soon. Who waited in vain all the same goes back to the queue: soon when another worker is idle
 * (presence.c), in any case after WAIT_MAX_MS; it is as if it had not been claimed.
 *
 * What is more urgent goes before what was claimed before it, and is claimed however many of those there are. */
#include <stdlib.h>
#include <utlist.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/fault.h"
#include "worker.h"

#define AHEAD_MS 20.0
#define SHORT_MS 150.0
#define STUCK_MS 100
#define FORGET 0.99    /* of the longest, with each job */
#define SLOTS_AHEAD 32 /* at most so many for each slot */
#define WAIT_MAX_MS 1000

/* --- how many --- */

static void note_longest(struct ahead *ahead, double ms)
{
	if (ms > ahead->longest_ms)
		ahead->longest_ms = ms;
}

void ahead_learn(struct worker *worker, int64_t took_ms)
{
	struct ahead *ahead = &worker->ahead;
	/* the clock is one of milliseconds: nothing takes none */
	double took = took_ms < 1 ? 0.5 : (double)took_ms;

	ahead->mean_ms = ahead->mean_ms > 0 ? ahead->mean_ms * 0.9 + took * 0.1 : took;
	ahead->longest_ms *= FORGET;
	note_longest(ahead, took);
}

static size_t wanted(const struct worker *worker)
{
	const struct ahead *ahead = &worker->ahead;
	size_t slots = (size_t)worker->options.slots;
	size_t lively = slots > ahead->stuck ? slots - ahead->stuck : 0;
	double want;

	if (worker->options.max_lost <= 1) /* the death of this worker would be theirs */
		return 0;
	if (lively == 0 || ahead->mean_ms <= 0 || ahead->mean_ms > SHORT_MS)
		return 0;
	if (ahead->longest_ms > SHORT_MS)
		return worker->idle_others > 0 ? 0 : 1;
	want = (double)lively * AHEAD_MS / ahead->mean_ms + 1;
	return want > (double)(SLOTS_AHEAD * lively) ? SLOTS_AHEAD * lively : (size_t)want;
}

/* Those that `rank` would wait behind. */
static size_t before(const struct worker *worker, size_t rank)
{
	size_t count = 0;

	for (size_t i = 0; i < worker->level_count && i <= rank; i++)
		count += worker->ahead.count[i];
	return count;
}

size_t ahead_count(const struct worker *worker) { return before(worker, WORKER_LEVELS); }

bool ahead_low(const struct worker *worker, size_t rank)
{
	size_t want = wanted(worker);

	return !worker->yielding && want > 0 && before(worker, rank) <= want / 2;
}

bool ahead_room(const struct worker *worker, size_t rank)
{
	return !worker->yielding && before(worker, rank) < wanted(worker);
}

bool ahead_soon(const struct worker *worker) { return !worker->yielding && wanted(worker) > 1; }

bool ahead_stuck(const struct worker *worker) { return worker->ahead.stuck >= (size_t)worker->options.slots; }

/* --- who waits --- */

size_t ahead_rank(const struct item *item) { return item->aged ? 0 : item->level; }

bool ahead_goes_first(const struct item *item)
{
	const struct item *ready = item->worker->ahead.ready;

	return !ready || ahead_rank(item) < ready->rank;
}

void ahead_take(struct item *item)
{
	item->ahead = true;
	item->turn = ++item->worker->ahead.turns;
	item->rank = ahead_rank(item);
	item->worker->ahead.count[item->rank]++;
}

void ahead_give_back(struct item *item)
{
	if (item->ahead)
		item->worker->ahead.count[item->rank]--;
	item->ahead = false;
}

/* Claims are answered by several connections, and may overtake each other: of one rank they go in the order of
 * claiming. */
static int by_turn(const struct item *here, const struct item *item)
{
	if (here->rank != item->rank)
		return here->rank > item->rank ? 1 : -1;
	return here->turn > item->turn ? 1 : -1;
}

void ahead_wait(struct item *item, const char *results, const char *missing)
{
	item->results = results ? xstrdup(results) : NULL;
	item->missing = missing ? xstrdup(missing) : NULL;
	item->parked = true;
	DL_INSERT_INORDER2(item->worker->ahead.ready, item, by_turn, ready_prev, ready_next);
	item->worker->dirty = true;
	FAULT_POINT(AHEAD_WAITS);
}

void ahead_leave(struct item *item)
{
	if (item->parked)
		DL_DELETE2(item->worker->ahead.ready, item, ready_prev, ready_next);
	item->parked = false;
}

void ahead_forget_results(struct item *item)
{
	free(item->results);
	free(item->missing);
	item->results = item->missing = NULL;
}

size_t ahead_hand_back(struct worker *worker, int64_t than, size_t most)
{
	struct item *item, *next;
	size_t done = 0;

	DL_FOREACH_SAFE2(worker->ahead.ready, item, next, ready_next)
	{
		if (done == most)
			break;
		if (item->since > than)
			continue;
		FAULT_POINT(AHEAD_BACK);
		ahead_leave(item);
		drain_hand_back(item);
		done++;
	}
	return done;
}

void ahead_tick(struct worker *worker)
{
	int64_t now = clock_mono_ms();
	struct item *item;

	worker->ahead.stuck = 0;
	DL_FOREACH(worker->running, item)
	{
		if (!item->slot || item->state != ITEM_RUNNING || !item->begun)
			continue;
		if (item->begun <= now - STUCK_MS)
			worker->ahead.stuck++;
		note_longest(&worker->ahead, (double)(now - item->begun));
	}
	ahead_hand_back(worker, worker->draining ? now : now - WAIT_MAX_MS, SIZE_MAX);
}
