/* Jobs that are due later, that run, and that have ended. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/duration.h"
#include "cause.h"
#include "record.h"
#include "why.h"
#include "workers.h"

static void say_failure(const struct why *why)
{
	const char *error = record_text(why->record, "error");
	CLEANUP(buf_release) struct buf words = BUF_INIT;

	record_reason(why->record, &words);
	why_say("reason: %s: %s", record_text(why->record, "reason"), words.data);
	if (*error)
		why_say("error: %s", error);
	if (store_field(why->record, "exit_code") && strcmp(record_text(why->record, "reason"), "exit") != 0)
		why_say("exit code: %" PRId64, record_int(why->record, "exit_code", 0));
}

int why_scheduled(const struct why *why, struct err *err)
{
	int64_t due = record_int(why->record, "due_at", 0), failures = record_int(why->record, "failures", 0);
	char span[DURATION_TEXT];

	duration_format(due > why->now_ms ? due - why->now_ms : why->now_ms - due, span);
	if (failures)
		why_say("it will be tried again: attempt %" PRId64 " failed (failure %" PRId64 " of at most %" PRId64
			")",
			record_int(why->record, "attempt", 0), failures, record_int(why->record, "retries", 0) + 1);
	if (due > why->now_ms)
		why_say("it is due in %s", span);
	else
		why_say("it was due %s ago; a worker has to be there to queue it (the caretaker): see flotilla workers",
			span);
	if (!failures)
		return 0;
	say_failure(why);
	return why_output(why, why->id, err);
}

static void say_worker(const struct workers *workers, const char *name)
{
	for (size_t i = 0; i < workers->count; i++) {
		const struct worker *worker = &workers->at[i];
		if (strcmp(worker->name, name) == 0) {
			why_say("on host %s, process %s%s", worker_text(worker, "host"), worker_text(worker, "pid"),
				worker->alive ? "" : ", which shows no sign of life any more");
			return;
		}
	}
	why_say("that worker is gone; the job is taken from it when its lease has run out");
}

int why_running(const struct why *why, struct err *err)
{
	CLEANUP(workers_release) struct workers workers = {0};
	CLEANUP(store_reply_freep) struct store_reply *lease = NULL;
	char ago[48], span[DURATION_TEXT];
	int64_t until;

	if (workers_read(why->session, &workers, err) < 0)
		return err->code;
	lease = store_sync(why->session->store, SESSION_ANSWER_MS, err, "ZSCORE %k %s", KEY_LEASES, "", why->id);
	if (!lease)
		return err->code;
	why_ago(why, "started_at", ago);
	why_say("attempt %" PRId64 " began %s on worker %s", record_int(why->record, "attempt", 0), ago,
		record_text(why->record, "worker"));
	say_worker(&workers, record_text(why->record, "worker"));
	if (*record_text(why->record, "dir"))
		why_say("in directory %s", record_text(why->record, "dir"));
	if (*record_text(why->record, "progress"))
		why_say("progress: %s", record_text(why->record, "progress"));
	until = store_reply_nil(lease) ? 0 : store_reply_int(lease);
	duration_format(until > why->now_ms ? until - why->now_ms : 0, span);
	if (until)
		why_say("its lease runs for another %s unless it is renewed", span);
	why_ago(why, "cancel_at", ago);
	if (*ago)
		why_say("its worker was asked %s to end it (cancel)", ago);
	return why_output(why, why->id, err);
}

static int say_skipped(const struct why *why, struct err *err)
{
	CLEANUP(cause_release) struct cause cause = {0};
	const char *retry;

	if (cause_find(why->session, why->id, &cause, err) < 0)
		return err->code;
	if (cause.count == 0) /* those that tell more are kept no longer */
		why_say("reason: %s", record_text(why->record, "error"));
	for (size_t i = 0; i < cause.count; i++)
		why_say("%s%s ended as %s, asked for was %s", i ? "because " : "reason: predecessor ",
			cause.steps[i].id, cause.steps[i].state, cause.steps[i].when);
	retry = cause_to_retry(&cause);
	if (!retry)
		return 0;
	why_say("flotilla why %s says how that came; flotilla retry %s tries it again, and this job with it", retry,
		retry);
	return 0;
}

int why_ended(const struct why *why, struct err *err)
{
	int64_t started = record_int(why->record, "started_at", 0), ended = record_int(why->record, "ended_at", 0);
	int64_t attempts = record_int(why->record, "attempt", 0);
	int state = record_state(why->record);
	char ago[48], span[DURATION_TEXT];

	why_ago(why, "ended_at", ago);
	duration_format(ended > started ? ended - started : 0, span);
	if (attempts > 0 && started > 0)
		why_say("it ended %s, after %" PRId64 " attempt%s; the last one took %s on worker %s", ago, attempts,
			attempts == 1 ? "" : "s", span, record_text(why->record, "worker"));
	else
		why_say("it ended %s and never ran", ago);
	if (*record_text(why->record, "duplicate_of"))
		why_say("it had joined %s (same dedup key) and ended as that one",
			record_text(why->record, "duplicate_of"));
	if (*record_text(why->record, "dir"))
		why_say("its directory: %s", record_text(why->record, "dir"));
	if (state == JOB_SUCCEEDED)
		return 0;
	if (state == JOB_SKIPPED)
		return say_skipped(why, err);
	say_failure(why);
	if (why_output(why, why->id, err) < 0)
		return err->code;
	why_say("flotilla retry %s tries it again", why->id);
	return 0;
}
