/* The worker's record in Redis, four times a second; and what that answer is for: when jobs are held here that no slot
 * can start soon, and another worker of the pool is idle, they go back to the queue for it. Consuming stops first, so
 * that they do not come back here; and where all slots have long jobs it stops before there are any. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <utlist.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "worker.h"

#define PRESENCE_MS 250
#define OTHER_LIVES_MS 1000          /* so much later a sign of life is no late one of a process that is gone */
#define HELD_MS 300                  /* a job held for less may be about to start */
#define HELD_STUCK_MS 50             /* where no slot comes free soon */
#define HELD_MAX_MS (10 * 60 * 1000) /* handed back at the latest */
#define HANDING_MS 1000              /* an invitation that is not confirmed by then may not be soon */

/* --- handing back --- */

/* A held job whose invitation is on its way to the broker. */
struct handing {
	struct handing *prev, *next;
	struct worker *worker;
	struct item *item; /* NULL: it has been taken back */
	int64_t since;
	char queued_at[24];
	char id[];
};

static void on_handed(void *data, enum publish_outcome outcome)
{
	struct handing *handing = data;
	struct item *item = handing->item;

	BROKER_FAULT(handing->worker->intake.broker, HELD_CONFIRMED);
	DL_DELETE(handing->worker->handing, handing);
	if (outcome == PUBLISH_CONFIRMED)
		fleet_invited(handing->worker->fleet, handing->id, handing->queued_at);
	free(handing);
	if (!item)
		return;
	/* the invitation is safe, but Redis may yet forget the job */
	if (outcome != PUBLISH_DROPPED)
		acks_item_durable(item);
	item_free(item);
}

static void hand(struct item *item, const char *pool, const char *priority, const char *task, const char *queued_at)
{
	struct worker *worker = item->worker;
	size_t len = strlen(item->id) + 1;
	struct handing *handing = xmalloc(sizeof *handing + len);

	*handing = (struct handing){.worker = worker, .item = item, .since = clock_mono_ms()};
	snprintf(handing->queued_at, sizeof handing->queued_at, "%s", queued_at);
	memcpy(handing->id, item->id, len);
	DL_APPEND(worker->handing, handing);
	publisher_invite(worker->publisher, item->id, pool, priority, task, on_handed, handing);
}

static bool hands_slowly(const struct worker *worker)
{
	return worker->handing && worker->handing->since <= clock_mono_ms() - HANDING_MS;
}

/* The broker does not take invitations (an alarm blocks publishers), while slots here have come free: the message is
 * still here, and the job starts here. Its invitation will find that when it comes. */
static void take_back(struct worker *worker)
{
	size_t room = schedule_free_slots(worker);
	struct handing *handing;

	if (!hands_slowly(worker))
		return;
	DL_FOREACH(worker->handing, handing)
	if (room > 0 && handing->item && handing->item->generation == worker->intake.generation) {
		schedule_hold(handing->item);
		handing->item = NULL;
		room--;
	}
}

static void on_owed(void *data, const struct store_reply *reply)
{
	struct item *item = data;

	if (strcmp(store_text_at(reply, 0), "queued") == 0) {
		hand(item, store_text_at(reply, 1), store_text_at(reply, 2), store_text_at(reply, 3),
		     store_text_at(reply, 4));
		return;
	}
	if (store_reply_error(reply) && item->decoded) {
		deliver_refused(item, store_reply_error(reply));
		return;
	}
	if (strcmp(store_text_at(reply, 0), "gone") == 0 && item->decoded) {
		deliver_admit(item);
		return;
	}
	acks_item_durable(item); /* it has gone its way without this message */
	item_free(item);
}

void handback_held(struct item *item)
{
	schedule_unhold(item);
	item->state = ITEM_SETTLING;
	store_script(item->worker->store, "owe", item->id, item->decoded ? item->job.run : NULL, NULL, 0, on_owed,
		     item);
}

static size_t hand_back_older(struct worker *worker, int64_t than, size_t most)
{
	size_t done = 0;

	for (size_t i = 0; i < worker->level_count; i++)
		while (done < most && worker->levels[i].held && worker->levels[i].held->since <= than) {
			handback_held(worker->levels[i].held);
			done++;
		}
	return done;
}

static void share(struct worker *worker)
{
	int64_t now = clock_mono_ms(), before = now - (ahead_stuck(worker) ? HELD_STUCK_MS : HELD_MS);
	size_t idle_others = worker->idle_others;
	size_t held = schedule_held(worker);
	size_t handed;

	if (worker->draining || !store_up(worker->store))
		return;
	take_back(worker);
	if (schedule_free_slots(worker) > 0 || idle_others == 0 || !publisher_up(worker->publisher) ||
	    hands_slowly(worker)) {
		worker->yielding = worker->yielding && schedule_free_slots(worker) == 0 && idle_others > 0;
		hand_back_older(worker, now - HELD_MAX_MS, held);
		return;
	}
	handed = ahead_hand_back(worker, before, 4 * idle_others);
	handed += hand_back_older(worker, before, 4 * idle_others - handed);
	if ((handed > 0 || ahead_stuck(worker)) && !worker->yielding) {
		worker->yielding = true;
		intake_stop_consuming(worker);
	}
}

/* --- the name --- */

/* Another process has this name in Redis. One that was killed is silent, and after its lease the name is free; one that
 * lives is heard again, and then this process is one too many. */
static void on_other(struct worker *worker, const struct store_reply *reply)
{
	const char *name = worker->options.name, *pid = store_text_at(reply, 3), *host = store_text_at(reply, 4);
	int64_t beat = store_int_at(reply, 1);

	if (!worker->named && !worker->other_beat) {
		worker->other_beat = beat;
		log_info("a worker called %s was there a moment ago (process %s on %s): waiting until it has been "
			 "silent for %s ms",
			 name, pid, host, store_text_at(reply, 2));
	} else if (worker->named || beat - worker->other_beat >= OTHER_LIVES_MS) {
		log_error("--name %s: a live worker has this name (process %s on %s); give each its own, or leave "
			  "--name out",
			  name, pid, host);
		worker_fail(worker, 2);
	}
}

/* --- the record --- */

static void on_presence(void *data, const struct store_reply *reply)
{
	struct worker *worker = data;

	if (worker->finished)
		return;
	if (!store_reply_error(reply))
		worker->health.answered_at = clock_mono_ms();
	if (strcmp(store_text_at(reply, 0), "other") == 0) {
		on_other(worker, reply);
		return;
	}
	if (!worker->named && strcmp(store_text_at(reply, 0), "ok") == 0) {
		worker->named = true;
		worker_begin(worker);
	}
	if (store_int_at(reply, 2) > 0)
		worker->redis_ahead_ms = store_int_at(reply, 2) - clock_mono_ms();
	worker->idle_others = store_reply_count(store_reply_at(reply, 1));
	share(worker);
}

struct numbers {
	char slots[24], running[24], held[24], pid[24], lease[24], free[24], keep[24], prefetch[24];
};

static void write_number(char *text, int64_t value) { snprintf(text, 24, "%" PRId64, value); }

void presence_tick(struct worker *worker)
{
	if (worker->named && worker->intake.broker)
		share(worker);
}

static void beat(uv_timer_t *timer)
{
	struct worker *worker = timer->data;
	const struct worker_options *o = &worker->options;
	struct numbers n;
	size_t held = schedule_held(worker) + ahead_count(worker), free = schedule_free_slots(worker);
	char host[256] = "";

	if (!store_up(worker->store) || worker->finished || worker->draining)
		return;
	gethostname(host, sizeof host - 1);
	write_number(n.slots, o->slots);
	write_number(n.running, (int64_t)worker->running_count);
	write_number(n.held, (int64_t)held);
	write_number(n.pid, getpid());
	write_number(n.lease, o->lease_ms);
	write_number(n.keep, o->lease_ms * 10);
	write_number(n.free, held == 0 && intake_consuming(worker) ? (int64_t)free : 0);
	write_number(n.prefetch, worker->levels[0].prefetch);
	const struct store_arg args[] = {
		STORE_TEXT(intake_consuming(worker) ? "1" : "0"),
		STORE_TEXT(n.free),
		STORE_TEXT(n.keep),
		STORE_TEXT(worker->instance),
		STORE_TEXT("pool"),
		STORE_TEXT(o->pool),
		STORE_TEXT("slots"),
		STORE_TEXT(n.slots),
		STORE_TEXT("running"),
		STORE_TEXT(n.running),
		STORE_TEXT("held"),
		STORE_TEXT(n.held),
		STORE_TEXT("prefetch"),
		STORE_TEXT(n.prefetch),
		STORE_TEXT("host"),
		STORE_TEXT(host),
		STORE_TEXT("pid"),
		STORE_TEXT(n.pid),
		STORE_TEXT("lease_ms"),
		STORE_TEXT(n.lease),
		STORE_TEXT("version"),
		STORE_TEXT(worker->version),
		STORE_TEXT("tasks"),
		STORE_TEXT(executor_tasks(worker->executor)),
		STORE_TEXT("demands"),
		STORE_TEXT(o->require_signed ? "signed" : ""),
	};
	store_script(worker->store, "presence", o->name, o->pool, args, sizeof args / sizeof *args, on_presence,
		     worker);
}

void presence_start(struct worker *worker)
{
	random_hex(worker->instance, (sizeof worker->instance - 1) / 2);
	uv_timer_init(worker->loop, &worker->presence_timer);
	worker->presence_timer.data = worker;
	uv_timer_start(&worker->presence_timer, beat, 0, PRESENCE_MS);
}

void presence_leave(struct worker *worker, store_done *done)
{
	const struct store_arg args[] = {STORE_TEXT(""), STORE_TEXT(worker->instance)};

	uv_timer_stop(&worker->presence_timer);
	store_script(worker->store, "leave", worker->options.name, worker->options.pool, args, 2, done, worker);
}
