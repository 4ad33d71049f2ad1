#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "base/duration.h"
#include "exec/internal.h"
#include "exec/process.h"

struct attempt *attempt_new(struct executor *executor, const struct handler *handler,
			    const struct exec_request *request)
{
	const char *results = request->results ? request->results : "{}";
	const char *missing = request->results_missing ? request->results_missing : "[]";
	size_t results_size = strlen(results) + 1, missing_size = strlen(missing) + 1;
	struct attempt *attempt = xmalloc(sizeof *attempt + results_size + missing_size);

	memset(attempt, 0, sizeof *attempt);
	attempt->executor = executor;
	attempt->handler = handler;
	attempt->job = request->job;
	attempt->number = request->attempt;
	/* copies: it may wait for a runner, longer than the caller keeps them */
	attempt->results = memcpy((char *)(attempt + 1), results, results_size);
	attempt->results_missing = memcpy((char *)(attempt + 1) + results_size, missing, missing_size);
	attempt->callbacks = request->callbacks;
	attempt->data = request->data;
	DL_APPEND(executor->attempts, attempt);
	return attempt;
}

static void on_timer_closed(uv_handle_t *handle)
{
	struct attempt *attempt = handle->data;
	struct executor *executor = attempt->executor;

	free(attempt);
	executor_handle_closed(executor);
}

void attempt_drop(struct attempt *attempt)
{
	DL_DELETE(attempt->executor->attempts, attempt);
	if (attempt->timer_open)
		uv_close((uv_handle_t *)&attempt->timer, on_timer_closed);
	else
		free(attempt);
}

void attempt_timeout_text(const struct attempt *attempt, char *text, size_t size)
{
	char duration[DURATION_TEXT];
	duration_format(attempt_timeout_ms(attempt), duration);
	snprintf(text, size, "timed out after %s", duration);
}

void attempt_end(struct attempt *attempt, struct outcome *outcome)
{
	const struct exec_callbacks *callbacks = attempt->callbacks;
	void *data = attempt->data;
	char text[64];

	if (attempt->cancelled && !outcome->succeeded) {
		outcome->reason = JOB_REASON_CANCELLED;
		outcome->error = "cancelled while it ran";
	} else if (attempt->timed_out && !outcome->succeeded) {
		attempt_timeout_text(attempt, text, sizeof text);
		outcome->reason = JOB_REASON_TIMEOUT;
		outcome->error = text;
	}
	if (!outcome->output)
		outcome->output = "";
	attempt_drop(attempt);
	callbacks->ended(data, outcome);
}

void attempt_fail(struct attempt *attempt, enum job_reason reason, const char *format, ...)
{
	char text[1024];
	struct outcome outcome = {.reason = reason, .error = text, .exit_code = -1};
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof text, format, ap);
	va_end(ap);
	attempt_end(attempt, &outcome);
}

void attempt_alarm(struct attempt *attempt, int64_t ms, void (*on)(uv_timer_t *))
{
	uv_loop_t *loop = attempt->executor->loop;

	if (!attempt->timer_open) {
		uv_timer_init(loop, &attempt->timer);
		attempt->timer.data = attempt;
		attempt->timer_open = true;
		attempt->executor->open_handles++;
	}
	/* The loop's idea of now may be old: it would ring too early. */
	uv_update_time(loop);
	uv_timer_start(&attempt->timer, on, (uint64_t)ms, 0);
}

int64_t attempt_timeout_ms(const struct attempt *attempt)
{
	int64_t ms = attempt->job->timeout_ms >= 0 ? attempt->job->timeout_ms : attempt->handler->timeout_ms;
	int64_t most = attempt->executor->max_timeout_ms;

	return most > 0 && (ms < 0 || ms > most) ? most : ms;
}

static void on_patience_over(uv_timer_t *timer)
{
	struct attempt *attempt = timer->data;
	attempt->handler->kind->kill(attempt);
}

static void on_timeout(uv_timer_t *timer)
{
	struct attempt *attempt = timer->data;

	attempt->timed_out = true;
	attempt_alarm(attempt, KILL_AFTER_MS, on_patience_over);
	attempt->handler->kind->term(attempt);
}

void attempt_start_clock(struct attempt *attempt)
{
	int64_t ms = attempt_timeout_ms(attempt);
	if (ms >= 0 && !attempt->cancelled)
		attempt_alarm(attempt, ms, on_timeout);
}

void exec_stop(struct attempt *attempt, enum exec_stop how)
{
	bool again = attempt->cancelled;

	if (!attempt->handler->kind->kill)
		return;
	if (attempt->process && child_is_over(process_child(attempt->process)))
		return;
	attempt->cancelled = true;
	if (how == EXEC_STOP_KILL) {
		attempt->handler->kind->kill(attempt);
	} else if (!again && !attempt->timed_out) {
		attempt_alarm(attempt, KILL_AFTER_MS, on_patience_over);
		attempt->handler->kind->term(attempt);
	}
}
