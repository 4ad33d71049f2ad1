/* Queued and not taken: nobody serves the pool, nobody knows the task, or all are busy. */
#include <inttypes.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/duration.h"
#include "record.h"
#include "why.h"
#include "workers.h"

struct pool {
	size_t alive, gone, knowing;
	int64_t slots, running;
};

static struct pool look_at_pool(const struct workers *workers, const char *pool, const char *task)
{
	struct pool ret = {0};

	for (size_t i = 0; i < workers->count; i++) {
		const struct worker *worker = &workers->at[i];
		bool here = strcmp(worker_text(worker, "pool"), pool) == 0;
		if (here && !worker->alive)
			ret.gone++;
		if (!worker_serves(worker, pool))
			continue;
		ret.alive++;
		if (!worker_knows(worker, task))
			continue;
		ret.knowing++;
		ret.slots += worker_int(worker, "slots");
		ret.running += worker_int(worker, "running");
	}
	return ret;
}

static void say_unknown_task(const struct workers *workers, const char *pool, const char *task)
{
	why_say("no worker of pool %s knows the task %s; the workers there and what they know:", pool, task);
	for (size_t i = 0; i < workers->count; i++)
		if (worker_serves(&workers->at[i], pool))
			why_say("  %s: %s", workers->at[i].name, worker_text(&workers->at[i], "tasks"));
	if (strcmp(task, "exec") == 0)
		why_say("exec needs a worker that was started with --allow-exec");
	else
		why_say("give a worker a handler for it (--handlers FILE), or cancel the job; it fails when for 10 s "
			"no worker "
			"could be found");
}

static void say_busy(const struct pool *pool, const char *name)
{
	if (pool->running >= pool->slots)
		why_say("all %" PRId64 " slots of the %zu worker%s of pool %s that know its task are busy", pool->slots,
			pool->knowing, pool->knowing == 1 ? "" : "s", name);
	else
		why_say("%zu worker%s of pool %s know%s its task (%" PRId64 " of %" PRId64
			" slots busy): one should take it any moment",
			pool->knowing, pool->knowing == 1 ? "" : "s", name, pool->knowing == 1 ? "s" : "",
			pool->running, pool->slots);
}

/* An invitation that was lost lies in the outbox until the caretaker sends it again. */
static int say_outbox(const struct why *why, struct err *err)
{
	CLEANUP(store_reply_freep)
	struct store_reply *owed =
		store_sync(why->session->store, SESSION_ANSWER_MS, err, "ZSCORE %k %s", KEY_OUTBOX, "", why->id);
	char span[DURATION_TEXT];
	int64_t at;

	if (!owed)
		return err->code;
	at = store_reply_nil(owed) ? 0 : store_reply_int(owed);
	if (at > 0 && at < why->now_ms - 1000) {
		duration_format(why->now_ms - at, span);
		why_say("its invitation has been owed to RabbitMQ for %s; the fleet's caretaker (a worker) will send "
			"it",
			span);
	}
	return 0;
}

int why_queued(const struct why *why, struct err *err)
{
	CLEANUP(workers_release) struct workers workers = {0};
	const char *name = record_text(why->record, "pool"), *task = record_text(why->record, "task");
	struct pool pool;
	char span[DURATION_TEXT];

	if (workers_read(why->session, &workers, err) < 0)
		return err->code;
	pool = look_at_pool(&workers, name, task);
	age_format(why->now_ms, record_int(why->record, "queued_at", 0), span);
	why_say("it has been queued in pool %s at priority %s for %s", name, record_text(why->record, "priority"),
		span);
	if (record_int(why->record, "lost", 0))
		why_say("%" PRId64 " worker(s) were lost while they ran it", record_int(why->record, "lost", 0));
	if (pool.alive == 0 && pool.gone)
		why_say("no worker serves pool %s any more: %zu that did are gone; start one: flotillad --pool %s",
			name, pool.gone, name);
	else if (pool.alive == 0)
		why_say("no worker serves pool %s: start one: flotillad --pool %s", name, name);
	else if (pool.knowing == 0)
		say_unknown_task(&workers, name, task);
	else
		say_busy(&pool, name);
	return say_outbox(why, err);
}
