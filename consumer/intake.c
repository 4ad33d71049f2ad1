/* The session with the broker that deliveries come by. Connecting and declaring block, so a thread of the pool does it;
 * what it has made is adopted by the loop and read there. When anything goes wrong the whole session goes, and a new
 * one is made with backoff: nothing of an old one (tags, consumers) is used again. */
#include <stdlib.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "worker.h"

#define AGAIN_MS 10000
#define FRAMES_A_TURN 2000

/* --- events --- */

static void on_delivery(struct worker *worker, const struct broker_event *event)
{
	size_t level = consume_level(worker, event->consumer_tag);

	BROKER_FAULT(worker->intake.broker, DELIVERY_RECEIVED);
	acks_delivered(&worker->intake.acks, event->tag);
	if (level == worker->level_count) {
		deliver_returned(worker, event);
		return;
	}
	worker->levels[level].delivered++;
	watch_delivered(worker);
	deliver(worker, level, event);
}

void intake_failed(struct worker *worker, const char *what, const char *text)
{
	struct err err;

	err_set(&err, ERR_SERVICE, "%s%s%s", what, text[0] ? ": " : "", text);
	intake_lost(worker, &err);
}

/* A right that is missing will not come by trying again. */
static void channel_closed(struct worker *worker, const char *text)
{
	struct err err;

	if (!broker_no_right(text)) {
		intake_failed(worker, "the broker closed the channel", text);
		return;
	}
	err_set(&err, ERR_REFUSED, "%s; a worker's rights are those of the role worker (flotilla broker apply --users)",
		text);
	intake_lost(worker, &err);
}

static void on_event(struct worker *worker, const struct broker_event *event)
{
	switch (event->kind) {
	case BROKER_DELIVERY: on_delivery(worker, event); break;
	case BROKER_CONSUME_OK: consume_answered(worker, event->consumer_tag); break;
	case BROKER_CANCELLED:
		watch_tell(worker);
		intake_failed(worker, "the broker ended a consumer; was its queue deleted?", event->consumer_tag);
		break;
	case BROKER_CHANNEL_CLOSED: channel_closed(worker, event->text); break;
	case BROKER_BLOCKED: log_warn("the broker blocks publishers: %s", event->text); break;
	case BROKER_UNBLOCKED: log_info("the broker takes publishes again"); break;
	case BROKER_NOTHING:
	case BROKER_RETURN:
	case BROKER_ACK:
	case BROKER_NACK:
	case BROKER_CANCEL_OK:
	case BROKER_QOS_OK: break;
	}
}

static void read_events(struct worker *worker)
{
	struct intake *intake = &worker->intake;
	struct broker_event event;
	struct err err;

	intake->more = false;
	for (int i = 0; i < FRAMES_A_TURN && intake->broker; i++) {
		if (broker_next(intake->broker, &event, &err) < 0) {
			intake_lost(worker, &err);
			return;
		}
		if (event.kind == BROKER_NOTHING)
			return;
		on_event(worker, &event);
	}
	intake->more = true; /* there may be more, and the socket would not say so */
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
	(void)status;
	(void)events;
	read_events(poll->data);
}

/* --- the session --- */

static void free_handle(uv_handle_t *handle) { free(handle); }

void intake_adopt(struct worker *worker, struct broker *broker)
{
	struct intake *intake = &worker->intake;
	char returned[TOPOLOGY_NAME_MAX];
	struct err err;

	intake->broker = broker;
	intake->generation++;
	worker->counts.sessions[COUNT_CONSUME]++;
	if (worker->yielding)
		intake->down_since = 0; /* else once a queue has answered */
	acks_reset(&intake->acks, intake->generation);
	watch_delivered(worker);
	intake->poll = xmalloc(sizeof *intake->poll);
	uv_poll_init(worker->loop, intake->poll, broker_fd(broker));
	intake->poll->data = worker;
	uv_poll_start(intake->poll, UV_READABLE, on_readable);
	log_info("consuming from pool %s", worker->options.pool);
	topology_returned(returned, worker->options.prefix);
	if (broker_qos(broker, 1, 100, &err) < 0 || broker_consume(broker, 1, returned, "returned", &err) < 0) {
		intake_lost(worker, &err);
		return;
	}
	intake_consume(worker);
	intake->more = true;
	intake->tries = 0;
}

/* A message that was not acknowledged is gone with its queue, and what it brought may be registered by now: then its
 * invitation is owed. Where the message comes again, the claim strikes that off. */
static void owe_invitation(const struct item *item)
{
	if (item->decoded && !item->fresh)
		store_script(item->worker->store, "owe", item->id, item->job.run, NULL, 0, NULL, NULL);
}

/* Held jobs come again by the next session; claimed ones go on, their redeliveries will find them running. */
static void forget_held(struct worker *worker)
{
	for (size_t i = 0; i < worker->level_count; i++) {
		struct level *level = &worker->levels[i];
		while (level->held) {
			struct item *item = level->held;
			schedule_unhold(item);
			owe_invitation(item);
			item_free(item);
		}
		level->consume = CONSUME_OFF;
		level->old_tag[0] = level->tag[0] = '\0';
		level->asked_at = 0;
		level->dry = 0;
	}
}

static void drop_session(struct worker *worker, bool polite)
{
	struct intake *intake = &worker->intake;

	if (intake->poll) {
		uv_poll_stop(intake->poll);
		uv_close((uv_handle_t *)intake->poll, free_handle);
		intake->poll = NULL;
	}
	intake->broker = broker_close(intake->broker, polite);
	intake->again = false;
	forget_held(worker);
}

void intake_lost(struct worker *worker, const struct err *err)
{
	struct intake *intake = &worker->intake;
	int64_t now = clock_mono_ms();

	drop_session(worker, false);
	if (worker->finished)
		return;
	worker->counts.losses[COUNT_CONSUME]++;
	if (err->code == ERR_REFUSED || err->code == ERR_USAGE) {
		log_error("RabbitMQ refuses: %s", err->text);
		worker_fail(worker, 2);
		return;
	}
	if (!intake->down_since)
		intake->down_since = now;
	intake->next_try = now + backoff_ms(100, 2000, intake->tries++);
	log_warn("RabbitMQ: %s; trying again", err->text);
}

void intake_replace(struct worker *worker)
{
	drop_session(worker, true); /* nothing is under way that it could hold up */
	worker->intake.down_since = worker->intake.next_try = clock_mono_ms();
}

void intake_again(struct worker *worker, const char *why)
{
	log_warn("%s: fetching again what is unacknowledged", why);
	worker->intake.again = true;
}

static void begin_again(struct worker *worker)
{
	struct intake *intake = &worker->intake;
	int64_t now = clock_mono_ms();
	struct err err;

	if (!intake->again || worker->draining || (intake->again_at && now - intake->again_at < AGAIN_MS))
		return;
	intake->again_at = now;
	err_set(&err, ERR_SERVICE, "a new session is wanted");
	intake_lost(worker, &err);
}

void intake_tick(struct worker *worker)
{
	struct intake *intake = &worker->intake;
	int64_t now = clock_mono_ms();

	consume_measure(worker);
	if (!intake->broker) {
		if (!intake->connecting && !worker->draining && now >= intake->next_try)
			intake_connect(worker);
		return;
	}
	read_events(worker); /* heartbeats are answered there */
	consume_check(worker);
	begin_again(worker);
	if (!worker->draining)
		unrouted_tick(worker);
	intake_consume(worker);
}

void intake_start(struct worker *worker)
{
	worker->intake.looked_at = clock_mono_ms();
	worker->intake.down_since = clock_mono_ms();
	for (size_t i = 0; i < worker->level_count; i++)
		topology_queue(worker->levels[i].queue, worker->options.prefix, worker->options.pool,
			       worker->levels[i].name);
	intake_connect(worker);
}

void intake_read_more(struct worker *worker) { read_events(worker); }

void intake_close(struct worker *worker)
{
	struct intake *intake = &worker->intake;

	if (intake->broker)
		acks_flush(worker, true);
	drop_session(worker, true);
	acks_release(&intake->acks);
	acks_forget_late(worker);
}
