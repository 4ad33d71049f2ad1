/* The consumers, one for each level, on the session that there is (intake.c). Their prefetch follows the rate at which
 * jobs begin here, and messages are done with that begin none (a fifth of a second's worth beyond the slots): so short
 * jobs are fetched far ahead, as is what only registers, and long jobs hardly. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "worker.h"

#define ANSWER_MS 10000
#define AHEAD_S 0.2
#define PREFETCH_MAX 2000
/* Of the rate, at each look: up at once, down in some seconds, for a burst must not be fetched one by one again after a
 * short pause; faster after a longer one, for what comes then may be of another kind. */
#define FORGET 0.03
#define PAUSE_LOOKS 10
#define LULL_FORGET 0.2
#define MUTED_MIN_MS 20000
#define MUTED_MAX_MS 300000

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

void consume_measure(struct worker *worker)
{
	struct intake *intake = &worker->intake;
	int64_t now = clock_mono_ms();
	double rate;

	if (now - intake->looked_at < 100)
		return;
	rate = (double)intake->started * 1000 / (double)(now - intake->looked_at);
	intake->quiet = intake->started > 0 ? 0 : intake->quiet + 1;
	if (rate > intake->rate)
		intake->rate = rate;
	else
		intake->rate += (rate - intake->rate) * (intake->quiet > PAUSE_LOOKS ? LULL_FORGET : FORGET);
	intake->started = 0;
	intake->looked_at = now;
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
size_t consume_level(struct worker *worker, const char *tag)
{
	const char *dash = strrchr(tag, '-');
	size_t len = dash ? (size_t)(dash - tag) : 0;

	for (size_t i = 0; i < worker->level_count; i++)
		if (strlen(worker->levels[i].name) == len && memcmp(worker->levels[i].name, tag, len) == 0)
			return i;
	return worker->level_count;
}

void consume_answered(struct worker *worker, const char *tag)
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

void intake_consume(struct worker *worker)
{
	for (size_t i = 0; i < worker->level_count && worker->intake.broker && !worker->draining; i++)
		adapt(worker, &worker->levels[i]);
}

void consume_check(struct worker *worker)
{
	int64_t before = clock_mono_ms() - ANSWER_MS;

	for (size_t i = 0; i < worker->level_count; i++) {
		struct level *level = &worker->levels[i];
		if (level->asked_at && level->asked_at < before) {
			mute(level);
			intake_failed(worker, "no answer to basic.consume", level->queue);
			return;
		}
	}
}
