/* An attempt under way, from its claim to its settling. Its lease is renewed until the outcome is stored. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <utlist.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "worker.h"

#define BACKOFF_MS 1000
#define BACKOFF_MAX_MS 300000
#define EARLY_ACK_MS 1000 /* a job that runs longer is acknowledged on the strength of its claim */

/* Some answers come behind the item's back: it is found again by its token. */
struct asked {
	struct worker *worker;
	char token[WORKER_TOKEN];
};

struct asked *attempt_ask(const struct item *item)
{
	struct asked *asked = xmalloc(sizeof *asked);

	asked->worker = item->worker;
	memcpy(asked->token, item->token, WORKER_TOKEN);
	return asked;
}

struct item *attempt_asked(struct asked *asked)
{
	struct item *item;

	DL_FOREACH(asked->worker->running, item)
	if (strcmp(item->token, asked->token) == 0)
		break;
	free(asked);
	return item;
}

/* --- settle --- */

void attempt_settled(void *data, const struct store_reply *reply)
{
	struct item *item = data;
	struct worker *worker = item->worker;
	struct log_job job = item_log(item);

	DL_DELETE(worker->running, item);
	metrics_settled(item, reply);
	if (store_reply_error(reply))
		log_line(LOG_LEVEL_ERROR, &job, "settling: %s", store_reply_error(reply));
	else if (strcmp(store_text_at(reply, 0), "stale") == 0)
		log_line(LOG_LEVEL_WARN, &job, "its outcome came too late: the lease had been lost");
	fleet_follow(worker->fleet, item->id, item->job.run, reply);
	acks_item_ran(item, strcmp(store_text_at(reply, 0), "gone") == 0);
	item_free(item);
	if (worker->draining)
		drain_look(worker);
}

static int64_t retries_of(const struct item *item)
{
	int64_t retries = item->job.retries;

	if (retries < 0)
		retries = executor_retries(item->worker->executor, item->job.task);
	return retries < 0 ? 0 : retries;
}

static void free_slot(struct item *item)
{
	if (item->slot)
		item->worker->running_count--;
	item->slot = false;
	ahead_give_back(item);
	item->worker->dirty = true;
}

/* What most jobs come to has a shorter way. */
static bool plain_success(const struct item *item, const struct outcome *outcome)
{
	return outcome->succeeded && item->attempt_no == 1 && outcome->exit_code < 0 && outcome->output_len == 0 &&
	       !item->dir && !item->news.progress && !item->said;
}

static void settle_plain(struct item *item, const char *result)
{
	const struct store_arg args[] = {STORE_TEXT(item->token), STORE_TEXT(result)};

	store_script(item->worker->store, "succeed", item->id, item->job.run, args, 2, attempt_settled, item);
}

/* The last that it said, as far as Redis may not know it. */
const char *attempt_progress(const struct item *item)
{
	return item->news.progress ? item->news.progress : item->said ? item->said : "";
}

static void settle_fully(struct item *item, const struct outcome *outcome, const char *result)
{
	int64_t retries = retries_of(item);
	int64_t base = item->job.backoff_ms >= 0 ? item->job.backoff_ms : BACKOFF_MS;
	int64_t max = item->job.backoff_max_ms >= 0 ? item->job.backoff_max_ms : BACKOFF_MAX_MS;
	bool again = !outcome->succeeded && job_reason_retried(outcome->reason) && item->failures < retries;
	char exit_code[16] = "", delay[24] = "", count[24];

	if (outcome->exit_code >= 0)
		snprintf(exit_code, sizeof exit_code, "%d", outcome->exit_code);
	if (again)
		snprintf(delay, sizeof delay, "%" PRId64, backoff_ms(base, max, (unsigned)item->failures));
	snprintf(count, sizeof count, "%" PRId64, retries);
	const struct store_arg args[] = {
		STORE_TEXT(item->token),
		STORE_TEXT(outcome->succeeded ? "succeeded" : "failed"),
		STORE_TEXT(job_reason_name(outcome->reason)),
		STORE_TEXT(outcome->error ? outcome->error : ""),
		STORE_TEXT(exit_code),
		STORE_TEXT(result),
		STORE_BYTES(outcome->output ? outcome->output : "", outcome->output_len),
		STORE_TEXT(count),
		STORE_TEXT(delay),
		STORE_TEXT(item->dir ? item->dir : ""),
		STORE_TEXT(attempt_progress(item)),
	};
	store_script(item->worker->store, "settle", item->id, item->job.run, args, sizeof args / sizeof *args,
		     attempt_settled, item);
}

static void settle(struct item *item, const struct outcome *outcome)
{
	const char *result = outcome->result && strcmp(outcome->result, "null") != 0 ? outcome->result : "";

	item->state = ITEM_SETTLING;
	free_slot(item);
	if (outcome->succeeded && pass_on(item, outcome, result))
		return;
	if (plain_success(item, outcome))
		settle_plain(item, result);
	else
		settle_fully(item, outcome, result);
}

void attempt_settle_refused(struct item *item, enum job_reason reason, const char *error)
{
	const struct outcome outcome = {.reason = reason, .error = error, .exit_code = -1};
	settle(item, &outcome);
}

/* --- what the executor says --- */

/* A drained worker's job was handed back, a lost one belongs to somebody else: nothing is settled. */
static void forget(struct item *item)
{
	struct worker *worker = item->worker;

	metrics_outcome(item, METRICS_LOST);
	free_slot(item);
	DL_DELETE(worker->running, item);
	acks_item_ran(item, item->gone);
	item_free(item);
	if (worker->draining)
		drain_look(worker);
}

static void on_ended(void *data, const struct outcome *outcome)
{
	struct item *item = data;
	struct log_job job = item_log(item);

	item->attempt = NULL;
	metrics_ran(item);
	if (item->slot)
		ahead_learn(item->worker, clock_mono_ms() - item->begun);
	if (item->lost) {
		forget(item);
		return;
	}
	if (item->handing && !outcome->succeeded) {
		free_slot(item);
		drain_hand_back(item);
		return;
	}
	if (!outcome->succeeded && log_enabled(LOG_LEVEL_INFO))
		log_line(LOG_LEVEL_INFO, &job, "failed, %s: %s", job_reason_name(outcome->reason),
			 outcome->error ? outcome->error : "");
	settle(item, outcome);
}

static const struct exec_callbacks callbacks = {report_started, report_output, report_progress, on_ended};

/* --- begin --- */

static void occupy(struct item *item)
{
	ahead_give_back(item);
	item->slot = true;
	item->worker->running_count++;
}

/* What was claimed ahead takes a slot if there is one now that nobody before it waits for. */
static bool has_slot(struct item *item)
{
	struct worker *worker = item->worker;

	if (!item->ahead)
		return true; /* it has one, or is instant */
	if (worker->draining || schedule_free_slots(worker) == 0 || !ahead_goes_first(item))
		return false;
	occupy(item);
	return true;
}

void attempt_start(struct item *item, const char *results, const char *missing)
{
	struct worker *worker = item->worker;
	struct err err;
	struct exec_request request = {.job = &item->job,
				       .attempt = item->attempt_no,
				       .results = results,
				       .results_missing = missing,
				       .callbacks = &callbacks,
				       .data = item};
	struct attempt *attempt = NULL;

	if (item->lost) {
		forget(item);
		return;
	}
	if (item->handing) {
		free_slot(item);
		drain_hand_back(item);
		return;
	}
	if (item->stopped) {
		attempt_settle_refused(item, JOB_REASON_CANCELLED, "cancelled before it ran");
		return;
	}
	if (!has_slot(item)) {
		if (worker->draining)
			drain_hand_back(item);
		else
			ahead_wait(item, results, missing);
		return;
	}
	item->begun = clock_mono_ms();
	metrics_begun(item);
	if (FAULT(EXEC_READY)) {
		attempt_settle_refused(item, JOB_REASON_ERROR, "a fault");
		return;
	}
	if (exec_start(worker->executor, &request, &attempt, &err) < 0) {
		attempt_settle_refused(item, JOB_REASON_ERROR, err.text);
		return;
	}
	if (!attempt)
		return; /* it has ended, and the item may be gone */
	item->attempt = attempt;
	item->news.dir = item->dir != NULL; /* told by attempt_tick: most are over by then, and their end says it too */
}

void attempt_go_on(struct item *item)
{
	char *results = item->results, *missing = item->missing;

	FAULT_POINT(AHEAD_BEGINS);
	ahead_leave(item);
	item->results = item->missing = NULL;
	occupy(item);
	attempt_start(item, results, missing);
	free(results);
	free(missing);
}

void attempt_begin(struct item *item)
{
	if (item->job.after_count == 0 || !executor_wants_results(item->worker->executor, item->job.task))
		attempt_start(item, NULL, NULL);
	else
		results_gather(item);
}

/* --- leases and cancel --- */

static void stop_for_cancel(struct item *item)
{
	if (item->stopped || item->state != ITEM_RUNNING)
		return;
	item->stopped = true;
	if (item->attempt) {
		exec_stop(item->attempt, EXEC_STOP_CANCEL);
	} else if (item->parked) {
		ahead_leave(item);
		attempt_settle_refused(item, JOB_REASON_CANCELLED, "cancelled before it ran");
	}
}

void attempt_cancel(struct worker *worker, const char *id)
{
	struct item *item;
	DL_FOREACH(worker->running, item)
	if (strcmp(item->id, id) == 0)
		stop_for_cancel(item);
}

static void on_renewed(void *data, const struct store_reply *reply)
{
	struct item *item = attempt_asked(data);

	if (!item)
		return;
	item->renewing = false;
	if (item->state != ITEM_RUNNING)
		return;
	if (strcmp(store_text_at(reply, 0), "stale") == 0) {
		struct log_job job = item_log(item);
		log_line(LOG_LEVEL_WARN, &job, "its lease was lost to another worker: killing it");
		item->lost = true;
		item->gone = !store_text_at(reply, 1)[0];
		if (item->attempt) {
			exec_stop(item->attempt, EXEC_STOP_KILL);
		} else if (item->parked) {
			ahead_leave(item);
			forget(item);
		}
	} else if (store_text_at(reply, 1)[0]) {
		stop_for_cancel(item);
	}
}

void attempt_renew_all(struct worker *worker)
{
	struct item *item;

	DL_FOREACH(worker->running, item)
	{
		const struct store_arg args[] = {STORE_TEXT(item->token), STORE_TEXT(worker->lease_text)};
		/* one that is unanswered is sent again by itself when Redis is back */
		if (item->state != ITEM_RUNNING || item->lost || item->renewing)
			continue;
		item->renewing = true;
		store_script(worker->store, "renew", item->id, item->job.run, args, 2, on_renewed, attempt_ask(item));
	}
}

/* What has run for a moment has its directory in its record. Long jobs hold neither prefetch nor the broker's patience:
 * their claim stands, the lease brings them back. */
void attempt_tick(struct worker *worker)
{
	int64_t before = clock_mono_ms() - EARLY_ACK_MS;
	struct item *item;

	DL_FOREACH(worker->running, item)
	{
		if (item->news.dir)
			report_news(item);
		if (item->state == ITEM_RUNNING && item->tag && item->since <= before)
			acks_item_durable(item);
	}
}
