/* How the worker fares, as its service manager hears it (notify.h): READY when it consumes for the first time, WATCHDOG
 * while it is well, STOPPING when it drains, STATUS in words.
 *
 * It is well while it consumes and Redis answers its signs of life. A service that is away is no reason to be killed
 * with all that runs: the worker goes on, and gives up by itself after --retry-services. So it counts as well as long
 * as it knows a service to be away, and else for --retry-services after it last was: by then it should have been
 * served, or have ended. What hangs for longer, or does not come to say so at all, is the manager's to kill and to
 * start again.
 *
 * Starting and stopping may take longer than the manager's time for them (a long --grace), so it is told to wait on for
 * as long as the loop turns. */
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "worker.h"

#define STATUS_MS 1000
#define EXTEND_MS 5000
#define EXTENSION "EXTEND_TIMEOUT_USEC=30000000\n"

static const char *service_away(const struct worker *worker)
{
	if (worker->store_down_since)
		return "Redis";
	return worker->intake.down_since || worker->publisher_down_since ? "RabbitMQ" : NULL;
}

static bool serves(const struct worker *worker, int64_t now)
{
	return intake_consuming(worker) && store_up(worker->store) &&
	       now - worker->health.answered_at < worker->options.lease_ms;
}

bool health_ready(const struct worker *worker, char *why, size_t size)
{
	int64_t now = clock_mono_ms();
	const char *away = service_away(worker);

	*why = '\0';
	if (worker->draining || worker->finished)
		snprintf(why, size, "stopping: it takes no more jobs");
	else if (away)
		snprintf(why, size, "there is no session with %s", away);
	else if (!worker->named)
		snprintf(why, size, "%s", worker->other_beat ? "another worker has its name" : "starting");
	else if (!intake_consuming(worker))
		snprintf(why, size, "the broker has not answered to basic.consume");
	else if (!serves(worker, now))
		snprintf(why, size, "Redis has not answered a sign of life for %lld ms",
			 (long long)(now - worker->health.answered_at));
	return !*why;
}

static bool is_well(const struct worker *worker, int64_t now)
{
	bool waits_for_name = !worker->named && worker->other_beat;

	return worker->draining || waits_for_name || service_away(worker) ||
	       now - worker->health.served_at < worker->options.retry_services_ms;
}

static void add_status(const struct worker *worker, struct buf *text)
{
	const char *away = service_away(worker);

	buf_addf(text, "STATUS=pool %s: ", worker->options.pool);
	if (worker->draining)
		buf_adds(text, "stopping, ");
	else if (away)
		buf_addf(text, "waiting for %s, ", away);
	else if (!worker->named)
		buf_adds(text, worker->other_beat ? "waiting until its name is free, " : "starting, ");
	else if (!intake_consuming(worker))
		buf_adds(text, "not consuming, ");
	buf_addf(text, "%zu of %lld slots busy, %zu jobs held\n", worker->running_count,
		 (long long)worker->options.slots, schedule_held(worker) + ahead_count(worker));
}

/* Only what has changed since, and not more often than people read. */
static void tell_status(struct worker *worker, int64_t now, struct buf *lines)
{
	struct health *health = &worker->health;
	CLEANUP(buf_release) struct buf text = BUF_INIT;

	if (now - health->status_at < STATUS_MS)
		return;
	add_status(worker, &text);
	if (strncmp(health->status, text.data, sizeof health->status - 1) == 0)
		return;
	snprintf(health->status, sizeof health->status, "%s", text.data);
	health->status_at = now;
	buf_adds(lines, text.data);
}

/* Half of what is asked for, so that one may come late. */
static void tell_life(struct worker *worker, int64_t now, struct buf *lines)
{
	struct health *health = &worker->health;

	if (!is_well(worker, now))
		return;
	if (health->notify.watchdog_ms && now - health->fed_at >= health->notify.watchdog_ms / 2) {
		buf_adds(lines, "WATCHDOG=1\n");
		health->fed_at = now;
	}
	if ((!health->ready || worker->draining) && now - health->extended_at >= EXTEND_MS) {
		buf_adds(lines, EXTENSION);
		health->extended_at = now;
	}
}

void health_tick(struct worker *worker)
{
	struct health *health = &worker->health;
	int64_t now = clock_mono_ms();
	CLEANUP(buf_release) struct buf lines = BUF_INIT;
	bool serving = serves(worker, now);

	if (health->notify.fd < 0 || worker->finished)
		return;
	if (serving)
		health->served_at = now;
	if (!health->ready && serving)
		buf_adds(&lines, "READY=1\n");
	if (!health->stopping && worker->draining) {
		buf_adds(&lines, "STOPPING=1\n");
		health->extended_at = 0; /* the manager's time for it begins now */
	}
	tell_status(worker, now, &lines);
	tell_life(worker, now, &lines);
	/* what did not get through is said again at the next look */
	if (lines.len > 0 && notify_send(&health->notify, lines.data)) {
		health->ready = health->ready || serving;
		health->stopping = worker->draining;
	} else if (lines.len > 0) {
		health->fed_at = health->extended_at = health->status_at = 0;
		health->status[0] = '\0';
	}
}

void health_open(struct worker *worker)
{
	notify_open(&worker->health.notify);
	worker->health.served_at = clock_mono_ms();
}

void health_close(struct worker *worker) { notify_close(&worker->health.notify); }
