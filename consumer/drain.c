/* SIGTERM: takes no more, lets running jobs end for the grace period, hands the rest back, exits 0. A second one, or
 * SIGINT twice: at once. What was held and not begun goes back at once. */
#include <string.h>
#include <utlist.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "worker.h"

#define SECOND_MS 2000
#define LEAVE_MS 5000 /* to say good-bye to services that may be away */

static void stop_loop(struct worker *worker)
{
	if (worker->finished)
		return;
	worker->finished = true;
	uv_stop(worker->loop);
}

static void on_left(void *data, const struct store_reply *reply)
{
	struct worker *worker = data;

	(void)reply;
	worker->left = true;
	drain_look(worker);
}

static void on_leave_late(uv_timer_t *timer) { stop_loop(timer->data); }

static void leave(struct worker *worker)
{
	if (worker->said_goodbye)
		return;
	worker->said_goodbye = true;
	caretaker_stop(worker);
	presence_leave(worker, on_left);
}

/* Whether nothing has run for so long that whoever has not answered will not be waited for. */
static bool idle_too_long(struct worker *worker)
{
	int64_t now = clock_mono_ms();

	if (!worker->idle_since)
		worker->idle_since = now;
	return now - worker->idle_since >= LEAVE_MS;
}

/* What is held and was not begun goes to other workers now: those that run here may take the whole grace period. */
static void hand_back_held(struct worker *worker)
{
	if (!store_up(worker->store) || !publisher_up(worker->publisher))
		return;
	for (size_t i = 0; i < worker->level_count; i++)
		while (worker->levels[i].held)
			handback_held(worker->levels[i].held);
}

static bool quiet(struct worker *worker)
{
	return worker->items == 0 && fleet_busy(worker->fleet) == 0 && publisher_pending(worker->publisher) == 0;
}

/* Once nothing runs and nothing is on its way, there is nothing left but to leave; and then to wait for what the
 * caretaker had asked before and goes on with. */
void drain_look(struct worker *worker)
{
	hand_back_held(worker);
	if (worker->running) {
		worker->idle_since = 0;
		return;
	}
	if (idle_too_long(worker) || (worker->left && quiet(worker) && store_pending(worker->store) == 0))
		stop_loop(worker);
	else if (quiet(worker))
		leave(worker);
}

/* --- handing back what still runs --- */

static void on_handed_back(void *data, const struct store_reply *reply)
{
	struct item *item = data;
	struct worker *worker = item->worker;
	struct log_job job = item_log(item);

	metrics_outcome(item, METRICS_HANDED_BACK);
	if (worker->draining)
		log_line(LOG_LEVEL_INFO, &job, "handed back: the worker stops");
	fleet_follow(worker->fleet, item->id, item->job.run, reply);
	DL_DELETE(worker->running, item);
	acks_item_ran(item, strcmp(store_text_at(reply, 0), "gone") == 0);
	item_free(item);
	if (worker->draining)
		drain_look(worker);
}

void drain_hand_back(struct item *item)
{
	const struct store_arg args[] = {STORE_TEXT(item->token), STORE_TEXT(item->begun ? "1" : "0")};

	item->state = ITEM_SETTLING;
	ahead_give_back(item);
	store_script(item->worker->store, "handback", item->id, item->job.run, args, 2, on_handed_back, item);
}

/* The process dies before the job is queued again, so that two attempts do not overlap. */
static void hand_back(struct worker *worker)
{
	struct item *item, *next;

	DL_FOREACH_SAFE(worker->running, item, next)
	{
		if (item->state != ITEM_RUNNING || item->lost || item->handing)
			continue;
		item->handing = true;
		if (item->attempt)
			exec_stop(item->attempt, EXEC_STOP_KILL);
	}
}

static void on_grace_over(uv_timer_t *timer)
{
	struct worker *worker = timer->data;

	log_info("the grace period is over");
	hand_back(worker);
	uv_timer_start(&worker->grace_timer, on_leave_late, LEAVE_MS, 0);
}

void drain_begin(struct worker *worker, int signal)
{
	if (worker->draining) {
		log_info("stopping at once");
		hand_back(worker);
		uv_timer_start(&worker->grace_timer, on_leave_late, SECOND_MS, 0);
		return;
	}
	FAULT_POINT(DRAIN_BEGUN);
	worker->draining = true;
	log_info("%s: takes no more jobs, waits up to %lld ms for %zu that run",
		 signal == SIGINT ? "SIGINT" : "SIGTERM", (long long)worker->options.grace_ms, worker->running_count);
	intake_stop_consuming(worker);
	ahead_hand_back(worker, INT64_MAX, SIZE_MAX);
	uv_timer_start(&worker->grace_timer, on_grace_over, (uint64_t)worker->options.grace_ms, 0);
	drain_look(worker);
}
