/* The fleet's figures. Every worker with --metrics asks Redis for those that are in its indices, so that they are there
 * while nobody can be the caretaker; whoever has that role also asks how many workers each pool has, and the broker how
 * many messages are ready in its queues. Asked every five seconds in the background; a request finds the last answer.
 *
 * Which pools there are: those of the workers, those seen while this process has the role, and those of the jobs that
 * head the outbox (a pool that has jobs and no worker). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "broker/topology.h"
#include "metrics_internal.h"

#define ASK_MS 5000
#define OLD_MS 30000 /* an answer that is older says nothing any more */
#define SAMPLE_TEXT "19"
#define FIRST_MS 500

/* Where an answer finds the metrics, which may be gone: worker->metrics is NULL then. */
static struct figures *figures_of(void *worker)
{
	struct metrics *metrics = ((struct worker *)worker)->metrics;
	return metrics ? &metrics->figures : NULL;
}

/* --- lags --- */

static int64_t lag(int64_t now, const char *oldest)
{
	int64_t at = strtoll(oldest, NULL, 10);
	return *oldest && at < now ? now - at : 0;
}

static int64_t later(int64_t a, int64_t b) { return a > b ? a : b; }

/* The entry's own time moves on at each try, so its job says since when it is there: it was registered, or it ended. */
static void on_settling_job(void *data, const struct store_reply *reply)
{
	struct worker *worker = data;
	struct figures *figures = figures_of(worker);
	int64_t since = later(store_int_at(reply, 0), store_int_at(reply, 1));

	if (!figures)
		return;
	if (since > 0 && worker->redis_ahead_ms)
		figures->settling_lag_ms =
			later(figures->settling_lag_ms, clock_mono_ms() + worker->redis_ahead_ms - since);
	if (--figures->jobs_open == 0)
		figures->lag_ms[INDEX_SETTLING] = figures->settling_lag_ms;
}

static void ask_settling(struct worker *worker, struct figures *figures, const struct store_reply *ids)
{
	figures->settling_lag_ms = 0;
	figures->jobs_open = store_reply_count(ids);
	if (figures->jobs_open == 0)
		figures->lag_ms[INDEX_SETTLING] = 0;
	for (size_t i = 0; i < store_reply_count(ids); i++)
		store_format(worker->store, on_settling_job, worker, "HMGET %k created_at ended_at", KEY_JOB,
			     store_text_at(ids, i));
}

/* --- pools --- */

static struct pool_figures *pool_named(struct figures *figures, const char *name)
{
	struct pool_figures *pool;

	for (size_t i = 0; i < figures->pool_count; i++)
		if (strcmp(figures->pools[i].name, name) == 0)
			return &figures->pools[i];
	if (figures->pool_count == METRICS_POOLS || !job_pool_valid(name, strlen(name)))
		return NULL;
	pool = &figures->pools[figures->pool_count++];
	memset(pool, 0, sizeof *pool);
	snprintf(pool->name, sizeof pool->name, "%s", name);
	for (size_t i = 0; i < WORKER_LEVELS; i++)
		pool->ready[i] = -1;
	return pool;
}

/* Whose depth is asked. Freed by the answer, which comes even if the publisher is closed. */
struct depth {
	struct worker *worker;
	bool parked;
	size_t index; /* of pools, or an enum fleet_queue */
	size_t level;
};

static void on_depth(void *data, int64_t messages, int64_t consumers)
{
	struct depth *depth = data;
	struct figures *figures = figures_of(depth->worker);

	(void)consumers;
	if (figures && depth->parked)
		figures->parked[depth->index] = messages;
	else if (figures && depth->index < figures->pool_count)
		figures->pools[depth->index].ready[depth->level] = messages;
	free(depth);
}

static void ask_depth(const char *queue, struct depth depth)
{
	struct depth *kept = xmalloc(sizeof *kept);

	*kept = depth;
	publisher_depth(depth.worker->publisher, queue, on_depth, kept);
}

static void ask_depths(struct worker *worker, const struct figures *figures)
{
	static void (*const parked[])(char *, const char *) = {topology_unrouted, topology_returned, topology_rejected};
	char queue[TOPOLOGY_NAME_MAX];

	if (!publisher_up(worker->publisher))
		return;
	for (size_t i = 0; i < QUEUE_COUNT; i++) {
		parked[i](queue, worker->options.prefix);
		ask_depth(queue, (struct depth){worker, true, i, 0});
	}
	for (size_t i = 0; i < figures->pool_count; i++)
		for (size_t level = 0; level < worker->level_count; level++) {
			topology_queue(queue, worker->options.prefix, figures->pools[i].name,
				       worker->levels[level].name);
			ask_depth(queue, (struct depth){worker, false, i, level});
		}
}

static void one_less(struct worker *worker, struct figures *figures)
{
	if (--figures->workers_open > 0)
		return;
	for (size_t i = 0; i < figures->pool_count; i++)
		figures->pools[i].shown = figures->pools[i].counting;
	figures->role = true;
	ask_depths(worker, figures);
}

static void on_worker(void *data, const struct store_reply *reply)
{
	struct figures *figures = figures_of(data);
	struct pool_figures *pool = figures ? pool_named(figures, store_text_at(reply, 0)) : NULL;

	if (!figures)
		return;
	if (pool) {
		pool->counting.workers++;
		pool->counting.slots += store_int_at(reply, 1);
		pool->counting.running += store_int_at(reply, 2);
		pool->counting.held += store_int_at(reply, 3);
	}
	one_less(data, figures);
}

static void on_workers(void *data, const struct store_reply *reply)
{
	struct worker *worker = data;
	struct figures *figures = figures_of(worker);

	if (!figures)
		return;
	for (size_t i = 0; i < store_reply_count(reply); i++) {
		figures->workers_open++;
		store_format(worker->store, on_worker, worker, "HMGET %k pool slots running held", KEY_WORKER,
			     store_text_at(reply, i));
	}
	one_less(worker, figures);
}

/* A pool may have jobs and no worker. */
static void on_owed_job(void *data, const struct store_reply *reply)
{
	struct figures *figures = figures_of(data);

	if (!figures)
		return;
	pool_named(figures, store_reply_text(reply, NULL));
	one_less(data, figures);
}

static void ask_pools(struct worker *worker, struct figures *figures, const struct store_reply *owed)
{
	if (!caretaker_has_role(worker)) {
		figures->role = false;
		figures->pool_count = 0;
		return;
	}
	for (size_t i = 0; i < figures->pool_count; i++)
		figures->pools[i].counting = (struct pool_sums){0};
	figures->workers_open = 1 + store_reply_count(owed);
	for (size_t i = 0; i < store_reply_count(owed); i++)
		store_format(worker->store, on_owed_job, worker, "HGET %k pool", KEY_JOB, store_text_at(owed, i));
	store_format(worker->store, on_workers, worker, "ZRANGE %k 0 -1", KEY_WORKERS, "");
}

/* --- a round --- */

static void on_figures(void *data, const struct store_reply *reply)
{
	struct worker *worker = data;
	struct figures *figures = figures_of(worker);
	int64_t now = store_int_at(reply, 0);

	if (!figures)
		return;
	figures->asking = false;
	if (store_reply_count(reply) != 13)
		return;
	figures->answered_at = clock_mono_ms();
	for (size_t i = 0; i < INDEX_COUNT; i++)
		figures->size[i] = store_int_at(reply, 1 + i);
	figures->lag_ms[INDEX_SCHEDULED] = lag(now, store_text_at(reply, 7));
	figures->lag_ms[INDEX_OUTBOX] = lag(now, store_text_at(reply, 8));
	figures->lag_ms[INDEX_REPLIES] = lag(now, store_text_at(reply, 9));
	ask_settling(worker, figures, store_reply_at(reply, 10));
	ask_pools(worker, figures, store_reply_at(reply, 11));
	store_reply_free(figures->ended);
	figures->ended = store_reply_copy(store_reply_at(reply, 12));
}

static void on_ask(uv_timer_t *timer)
{
	struct metrics *metrics = timer->data;
	struct worker *worker = metrics->worker;
	struct figures *figures = &metrics->figures;
	const struct store_arg args[] = {STORE_TEXT(SAMPLE_TEXT)};

	if (!store_up(worker->store) || figures->asking || figures->jobs_open || figures->workers_open)
		return;
	figures->asking = true;
	store_script(worker->store, "figures", worker->options.name, NULL, args, 1, on_figures, worker);
}

void metrics_fleet_open(struct metrics *metrics)
{
	for (size_t i = 0; i < QUEUE_COUNT; i++)
		metrics->figures.parked[i] = -1;
	uv_timer_start(&metrics->ask_timer, on_ask, FIRST_MS, ASK_MS);
}

void metrics_fleet_close(struct metrics *metrics) { store_reply_free(metrics->figures.ended); }

/* --- the page --- */

static void write_sizes(const struct figures *figures, struct buf *out)
{
	static const struct {
		enum fleet_index index;
		const char *name;
	} sizes[] = {{INDEX_SCHEDULED, "scheduled"},
		     {INDEX_OUTBOX, "outbox"},
		     {INDEX_SETTLING, "settling"},
		     {INDEX_REPLIES, "replies"},
		     {INDEX_LEASES, "leases"}};
	struct label labels[] = {{"index", NULL}, {0}};

	exposition_single(out, "flotilla_fleet_workers", "gauge", "Workers that live, of all pools.", NULL,
			  (double)figures->size[INDEX_WORKERS]);
	exposition_head(out, "flotilla_fleet_entries", "gauge",
			"Jobs that are listed in the fleet's indices in Redis.");
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		labels[0].value = sizes[i].name;
		exposition_sample(out, "flotilla_fleet_entries", labels, (double)figures->size[sizes[i].index]);
	}
	exposition_head(out, "flotilla_fleet_lag_seconds", "gauge",
			"For how long what is listed has been due and not done, the oldest of each index.");
	for (size_t i = 0; i + 1 < sizeof sizes / sizeof *sizes; i++) {
		labels[0].value = sizes[i].name;
		exposition_sample(out, "flotilla_fleet_lag_seconds", labels,
				  (double)figures->lag_ms[sizes[i].index] / 1000);
	}
}

static void write_ended(const struct figures *figures, struct buf *out)
{
	static const char *const states[] = {"succeeded", "failed", "cancelled", "skipped", "expired"};

	exposition_head(out, "flotilla_fleet_jobs_ended_total", "counter",
			"Jobs of the fleet that ended, by the state they ended in, since the fleet began.");
	for (size_t i = 0; i < sizeof states / sizeof *states; i++) {
		const struct label labels[] = {{"state", states[i]}, {0}};
		const char *count = store_field(figures->ended, states[i]);
		exposition_sample(out, "flotilla_fleet_jobs_ended_total", labels, count ? strtod(count, NULL) : 0);
	}
}

static void write_pools(const struct figures *figures, struct buf *out)
{
	static const struct {
		const char *name, *help;
		size_t at;
	} rows[] = {
		{"flotilla_pool_workers", "Workers of a pool that live.", offsetof(struct pool_sums, workers)},
		{"flotilla_pool_slots", "Slots of a pool's workers.", offsetof(struct pool_sums, slots)},
		{"flotilla_pool_jobs_running", "Slots of a pool's workers that are taken.",
		 offsetof(struct pool_sums, running)},
		{"flotilla_pool_jobs_held", "Jobs that a pool's workers hold until a slot is free.",
		 offsetof(struct pool_sums, held)},
	};

	for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
		exposition_head(out, rows[r].name, "gauge", rows[r].help);
		for (size_t i = 0; i < figures->pool_count; i++) {
			const struct label labels[] = {{"pool", figures->pools[i].name}, {0}};
			const char *sums = (const char *)&figures->pools[i].shown;
			exposition_sample(out, rows[r].name, labels,
					  (double)*(const int64_t *)(const void *)(sums + rows[r].at));
		}
	}
}

static void write_depths(const struct worker *worker, const struct figures *figures, struct buf *out)
{
	static const char *const parked[] = {"unrouted", "returned", "rejected"};

	exposition_head(out, "flotilla_queue_messages", "gauge", "Messages that are ready in the queues of the pools.");
	for (size_t i = 0; i < figures->pool_count; i++)
		for (size_t level = 0; level < worker->level_count; level++) {
			const struct label labels[] = {
				{"pool", figures->pools[i].name}, {"priority", worker->levels[level].name}, {0}};
			if (figures->pools[i].ready[level] >= 0)
				exposition_sample(out, "flotilla_queue_messages", labels,
						  (double)figures->pools[i].ready[level]);
		}
	exposition_head(out, "flotilla_parked_messages", "gauge",
			"Messages in the fleet's queues for what cannot go on: unrouted, returned, rejected.");
	for (size_t i = 0; i < QUEUE_COUNT; i++) {
		const struct label labels[] = {{"queue", parked[i]}, {0}};
		if (figures->parked[i] >= 0)
			exposition_sample(out, "flotilla_parked_messages", labels, (double)figures->parked[i]);
	}
}

void metrics_fleet_write(const struct metrics *metrics, struct buf *out)
{
	const struct figures *figures = &metrics->figures;

	if (!figures->answered_at || clock_mono_ms() - figures->answered_at > OLD_MS)
		return;
	write_sizes(figures, out);
	write_ended(figures, out);
	if (!figures->role || !caretaker_has_role(metrics->worker))
		return;
	write_pools(figures, out);
	write_depths(metrics->worker, figures, out);
}
