/* The session with the broker that deliveries come by. Connecting and declaring block, so a thread of the pool does it;
 * what it has made is adopted by the loop and read there. When anything goes wrong the whole session goes, and a new
 * one is made with backoff: nothing of an old one (tags, consumers) is used again.
 *
 * Each level has a consumer of its own. Its prefetch follows the rate at which jobs begin here (a fifth of a second's
 * worth beyond the slots), so that short jobs are fetched far ahead and long ones hardly. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "worker.h"

#define ANSWER_MS 10000
#define AGAIN_MS 10000
#define FRAMES_A_TURN 2000
#define AHEAD_S 0.2
#define PREFETCH_MAX 2000
#define MUTED_MIN_MS 20000
#define MUTED_MAX_MS 300000

/* --- consuming --- */

/* A queue that does not answer to basic.consume (RabbitMQ 3.10 can leave one so when it is killed) holds up its whole
 * channel, and so all levels: it is left alone for a while, so that the others are served. */
static bool muted(const struct level *level) { return clock_mono_ms() < level->muted_until; }

static void mute(struct level *level)
{
	int64_t ms = backoff_ms(MUTED_MIN_MS, MUTED_MAX_MS, level->mute_tries++);

	level->muted_until = clock_mono_ms() + ms;
	log_error(
		"the queue %s does not answer to basic.consume: doing without it for %" PRId64
		" s; if it stays so, the broker has it broken: delete it, jobs that the fleet knows are invited again",
		level->queue, ms / 1000);
}

static void consume(struct worker *worker, struct level *level, uint16_t prefetch)
{
	struct broker *broker = worker->intake.broker;
	struct err err;

	snprintf(level->tag, sizeof level->tag, "%s-%u", level->name, ++worker->intake.tags);
	level->prefetch = prefetch;
	level->consume = CONSUME_ASKED;
	level->asked_at = clock_mono_ms();
	worker->intake.more = true;
	if (broker_qos(broker, 1, prefetch, &err) < 0 || broker_consume(broker, 1, level->queue, level->tag, &err) < 0)
		intake_lost(worker, &err);
}

static void stop_consuming(struct worker *worker, struct level *level)
{
	struct err err;

	if (level->consume == CONSUME_OFF)
		return;
	level->consume = CONSUME_OFF;
	level->asked_at = 0;
	worker->intake.more = true;
	/* the one that was to be replaced delivers until it is cancelled too */
	if ((level->old_tag[0] && broker_cancel(worker->intake.broker, 1, level->old_tag, &err) < 0) ||
	    broker_cancel(worker->intake.broker, 1, level->tag, &err) < 0) {
		intake_lost(worker, &err);
		return;
	}
	level->old_tag[0] = '\0';
}

void intake_stop_consuming(struct worker *worker)
{
	for (size_t i = 0; i < worker->level_count && worker->intake.broker; i++)
		stop_consuming(worker, &worker->levels[i]);
}

bool intake_consuming(const struct worker *worker)
{
	if (!worker->intake.broker)
		return false;
	for (size_t i = 0; i < worker->level_count; i++)
		if (worker->levels[i].consume != CONSUME_ON && !muted(&worker->levels[i]))
			return worker->yielding;
	return !worker->intake.down_since;
}

static uint16_t wanted_prefetch(const struct worker *worker)
{
	double ahead = worker->intake.rate * AHEAD_S;
	double want = (double)worker->options.slots + (ahead < 1 ? 1 : ahead);

	return want > PREFETCH_MAX ? PREFETCH_MAX : (uint16_t)want;
}

/* A consumer's prefetch cannot be changed: another takes its place, and the old one is cancelled once that stands. */
static void adapt(struct worker *worker, struct level *level)
{
	uint16_t want = wanted_prefetch(worker);

	if (level->consume == CONSUME_OFF && !worker->yielding && !muted(level)) {
		consume(worker, level, want);
	} else if (level->consume == CONSUME_ON && !level->old_tag[0] &&
		   (want >= 2 * level->prefetch || want * 4 <= level->prefetch)) {
		memcpy(level->old_tag, level->tag, sizeof level->old_tag);
		consume(worker, level, want);
	}
}

static struct level *level_of(struct worker *worker, const char *tag)
{
	for (size_t i = 0; i < worker->level_count; i++)
		if (strcmp(worker->levels[i].tag, tag) == 0 || strcmp(worker->levels[i].old_tag, tag) == 0)
			return &worker->levels[i];
	return NULL;
}

/* Tags are LEVEL-N: deliveries of a consumer that has been replaced or cancelled still count. That of what the broker
 * gave up on has no number. */
static size_t level_index(struct worker *worker, const char *tag)
{
	const char *dash = strrchr(tag, '-');
	size_t len = dash ? (size_t)(dash - tag) : 0;

	for (size_t i = 0; i < worker->level_count; i++)
		if (strlen(worker->levels[i].name) == len && memcmp(worker->levels[i].name, tag, len) == 0)
			return i;
	return worker->level_count;
}

/* --- events --- */

static void on_consume_ok(struct worker *worker, const char *tag)
{
	struct level *level = level_of(worker, tag);
	struct err err;

	if (!level || strcmp(level->tag, tag) != 0 || level->consume != CONSUME_ASKED)
		return;
	BROKER_FAULT(worker->intake.broker, CONSUME_STARTED);
	level->consume = CONSUME_ON;
	level->asked_at = 0;
	level->mute_tries = 0;
	worker->intake.down_since = 0;
	if (level->old_tag[0] && broker_cancel(worker->intake.broker, 1, level->old_tag, &err) < 0)
		intake_lost(worker, &err);
	level->old_tag[0] = '\0';
}

static void on_delivery(struct worker *worker, const struct broker_event *event)
{
	size_t level = level_index(worker, event->consumer_tag);

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

static void session_error(struct worker *worker, const char *what, const char *text)
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
		session_error(worker, "the broker closed the channel", text);
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
	case BROKER_CONSUME_OK: on_consume_ok(worker, event->consumer_tag); break;
	case BROKER_CANCELLED:
		watch_tell(worker);
		session_error(worker, "the broker ended a consumer; was its queue deleted?", event->consumer_tag);
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
	for (size_t i = 0; i < worker->level_count && intake->broker; i++)
		adapt(worker, &worker->levels[i]);
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

void intake_consume(struct worker *worker)
{
	for (size_t i = 0; i < worker->level_count && worker->intake.broker && !worker->draining; i++)
		adapt(worker, &worker->levels[i]);
}

static void measure(struct worker *worker)
{
	struct intake *intake = &worker->intake;
	int64_t now = clock_mono_ms();
	double rate;

	if (now - intake->looked_at < 100)
		return;
	rate = (double)intake->started * 1000 / (double)(now - intake->looked_at);
	/* up at once, down in some seconds: a burst must not be fetched one by one again after a short pause */
	intake->rate = rate > intake->rate ? rate : intake->rate * 0.97 + rate * 0.03;
	intake->started = 0;
	intake->looked_at = now;
}

static void check_answers(struct worker *worker)
{
	int64_t before = clock_mono_ms() - ANSWER_MS;

	for (size_t i = 0; i < worker->level_count; i++) {
		struct level *level = &worker->levels[i];
		if (level->asked_at && level->asked_at < before) {
			mute(level);
			session_error(worker, "no answer to basic.consume", level->queue);
			return;
		}
	}
}

void intake_tick(struct worker *worker)
{
	struct intake *intake = &worker->intake;
	int64_t now = clock_mono_ms();

	measure(worker);
	if (!intake->broker) {
		if (!intake->connecting && !worker->draining && now >= intake->next_try)
			intake_connect(worker);
		return;
	}
	read_events(worker); /* heartbeats are answered there */
	check_answers(worker);
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
