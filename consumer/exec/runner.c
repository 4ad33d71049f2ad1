/* Handlers whose children live on: `runner` and `plugin`. Up to `processes` of them, started when there is work; each
 * has one job at a time; what finds none idle waits here. A child that dies fails the job it had, no other, and is
 * started again, later and later while it dies without having done any. */
#include "exec/runner.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <utlist.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "exec/jobdir.h"
#include "exec/runner_child.h"
#include "exec/runner_frames.h"
#include "job/json.h"

#define BACKOFF_MS 100
#define BACKOFF_MAX_MS 10000
#define HANG_UP_MS 1000

/* An attempt that waits for a runner, or is at one. */
struct ticket {
	struct attempt *attempt;
	struct runner *runner; /* NULL: waits */
	int64_t seq;
	bool *ended; /* set when it ends, if anyone asks */
	struct output output;
	struct ticket *prev, *next;
};

struct runners {
	struct executor *executor;
	const struct handler *handler;
	struct ticket *waiting;
	int64_t next_seq;
	uv_timer_t retry; /* when a child may be started again */
	struct runner items[];
};

static void serve(struct runners *runners);

static void ticket_free(struct ticket *ticket)
{
	output_release(&ticket->output);
	free(ticket);
}

/* Takes the ticket from its runner and ends its attempt. */
static void end_ticket(struct ticket *ticket, struct outcome *outcome)
{
	struct attempt *attempt = ticket->attempt;

	if (ticket->runner)
		ticket->runner->current = NULL;
	attempt->ticket = NULL;
	if (ticket->ended)
		*ticket->ended = true;
	if (attempt->timed_out) {
		outcome->succeeded = false;
		outcome->result = NULL;
	}
	outcome->exit_code = -1;
	outcome->output = output_tail(&ticket->output, &outcome->output_len);
	attempt_end(attempt, outcome);
	ticket_free(ticket);
}

static void fail_ticket(struct ticket *ticket, enum job_reason reason, const char *text)
{
	struct outcome outcome = {.reason = reason, .error = text};
	end_ticket(ticket, &outcome);
}

void runner_output(struct runner *runner, const char *bytes, size_t len)
{
	if (runner->current)
		output_add(&runner->current->output, bytes, len);
	else
		log_debug("runner %s: %.*s", runner->owner->handler->name, (int)len, bytes);
}

static void on_result(struct ticket *ticket, const struct message *message)
{
	CLEANUP(buf_release) struct buf text = BUF_INIT;
	struct outcome outcome = {.succeeded = true};
	struct err err;

	if (message->result && message->result->type != MSGPACK_OBJECT_NIL) {
		if (msgpack_to_json(message->result, &text, &err) < 0) {
			fail_ticket(ticket, JOB_REASON_RESULT, err.text);
			return;
		}
		if (text.len > RESULT_MAX) {
			fail_ticket(ticket, JOB_REASON_RESULT, "the result is larger than 64 KiB of JSON");
			return;
		}
		outcome.result = text.data;
	}
	end_ticket(ticket, &outcome);
}

static void on_done(struct runner *runner, const struct message *message)
{
	struct ticket *ticket = runner->current;
	CLEANUP(freep) char *text = NULL;

	/* What it wrote before it said that it had done belongs to this job. */
	runner_drain(runner);
	runner->failures = 0;
	runner->proven = true;
	if (message->type == MESSAGE_RESULT) {
		on_result(ticket, message);
	} else {
		text = message_words(message);
		fail_ticket(ticket, message->bad_argument ? JOB_REASON_BAD_ARGUMENT : JOB_REASON_ERROR,
			    *text ? text : "the handler failed and gave no reason");
	}
}

static void on_progress(struct ticket *ticket, const struct message *message)
{
	CLEANUP(freep) char *text = message_words(message);
	ticket->attempt->callbacks->progress(ticket->attempt->data, text);
}

void runner_message(struct runner *runner, const struct message *message)
{
	struct runners *runners = runner->owner;

	if (!runner->greeted) {
		if (message->type != MESSAGE_HELLO || message->version != RUNNER_PROTOCOL)
			runner_condemn(runner, "it did not begin with hello, version 1");
		runner->greeted = true;
		return;
	}
	if (message->type == MESSAGE_HELLO || !runner->current || message->seq != runner->current->seq) {
		runner_condemn(runner, "it spoke of a job that it does not have");
		return;
	}
	if (FAULT(FRAME_RECEIVED)) {
		runner_condemn(runner, "a fault");
		return;
	}
	switch (message->type) {
	case MESSAGE_PROGRESS: on_progress(runner->current, message); break;
	case MESSAGE_OUTPUT: output_add(&runner->current->output, message->text, message->len); break;
	default: on_done(runner, message); serve(runners);
	}
}

/* The words for its end, and the reason. */
static enum job_reason judge(const struct runner *runner, int status, char *text, size_t size)
{
	char how[128];

	if (runner->child.failure) {
		snprintf(text, size, "the runner: %s", runner->child.failure);
		return JOB_REASON_ERROR;
	}
	describe_status(status, how, sizeof how);
	if (runner->complaint && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) {
		snprintf(text, size, "the runner was killed: %s", runner->complaint);
		return JOB_REASON_ERROR;
	}
	snprintf(text, size, "the runner ended%s: %s", runner->current ? " while it had the job" : "", how);
	return WIFSIGNALED(status) ? JOB_REASON_SIGNAL : JOB_REASON_EXIT;
}

/* A child that ended after its last job, and not because of this one, which it has not read: another may have it. */
static bool give_back(struct runner *runner)
{
	struct ticket *ticket = runner->current;

	if (!ticket || !runner->proven || !runner->unread || ticket->attempt->cancelled || ticket->attempt->timed_out)
		return false;
	runner->current = NULL;
	ticket->runner = NULL;
	if (ticket->attempt->timer_open)
		uv_timer_stop(&ticket->attempt->timer);
	DL_PREPEND(runner->owner->waiting, ticket);
	return true;
}

static void tell_end(const struct runner *runner, const char *text)
{
	const struct attempt *attempt = runner->current ? runner->current->attempt : NULL;
	struct log_job job = {.id = NULL};

	if (attempt)
		job = (struct log_job){attempt->job->id, attempt->job->run, attempt->number};
	log_line(LOG_LEVEL_WARN, attempt ? &job : NULL, "runner %s: %s", runner->owner->handler->name, text);
}

void runner_ended(struct child *child, int status, const struct rusage *usage)
{
	struct runner *runner = (struct runner *)child;
	struct runners *runners = runner->owner;
	char text[512];
	enum job_reason reason;

	(void)usage;
	/* A result that it wrote just before it ended counts. */
	runner_read(runner);
	reason = judge(runner, status, text, sizeof text);
	if (!runner->expected) {
		runner->not_before = clock_mono_ms() + backoff_ms(BACKOFF_MS, BACKOFF_MAX_MS, runner->failures);
		runner->failures++;
		tell_end(runner, text);
	}
	runner_unlink(runner);
	if (!give_back(runner) && runner->current)
		fail_ticket(runner->current, reason, text);
	serve(runners);
}

static void give(struct runner *runner, struct ticket *ticket)
{
	struct runners *runners = runner->owner;
	CLEANUP(buf_release) struct buf out = BUF_INIT;
	struct err err;

	ticket->seq = ++runners->next_seq;
	if (runner_write_job(&out, ticket->attempt, ticket->seq, &err) < 0) {
		fail_ticket(ticket, JOB_REASON_ERROR, err.text);
		return;
	}
	ticket->runner = runner;
	runner->current = ticket;
	runner_send(runner, &out);
	attempt_start_clock(ticket->attempt);
	if (FAULT(FRAME_SENT))
		runner_condemn(runner, "a fault");
}

/* A runner that can take a job now: an idle one, else one that may be started. */
static struct runner *find_free(struct runners *runners, int64_t *not_before)
{
	struct runner *startable = NULL;
	int64_t now = clock_mono_ms();

	for (int i = 0; i < runners->handler->processes; i++) {
		struct runner *runner = &runners->items[i];
		if (runner->child.pid > 0) {
			if (!runner->current && !runner->complaint && !runner->hung_up_at && !runner->expected)
				return runner;
		} else if (runner->link) {
			/* runner_ended is at its last words, and will serve when it is through. */
			continue;
		} else if (runner->not_before <= now) {
			startable = startable ? startable : runner;
		} else if (*not_before == 0 || runner->not_before < *not_before) {
			*not_before = runner->not_before;
		}
	}
	return startable;
}

static void on_retry(uv_timer_t *timer) { serve(timer->data); }

static void wait_for_retry(struct runners *runners, int64_t not_before)
{
	if (not_before == 0)
		return;
	uv_update_time(runners->executor->loop);
	uv_timer_start(&runners->retry, on_retry, (uint64_t)clock_left_ms(not_before), 0);
}

/* Gives what waits to who is free. Callbacks may come back here: everything is looked at anew each time round. */
static void serve(struct runners *runners)
{
	while (runners->waiting && !runners->executor->closing) {
		int64_t not_before = 0;
		struct runner *runner = find_free(runners, &not_before);
		struct ticket *ticket = runners->waiting;
		struct err err;

		if (!runner) {
			wait_for_retry(runners, not_before);
			return;
		}
		DL_DELETE(runners->waiting, ticket);
		if (runner->child.pid <= 0 && runner_start(runner, runners->executor, runners->handler, &err) < 0) {
			err_prefix(&err, "the runner");
			fail_ticket(ticket, JOB_REASON_ERROR, err.text);
			continue;
		}
		give(runner, ticket);
	}
}

static struct runners *runners_new(struct executor *executor, const struct handler *handler)
{
	struct runners *runners = xcalloc(1, sizeof *runners + (size_t)handler->processes * sizeof *runners->items);

	runners->executor = executor;
	runners->handler = handler;
	for (int i = 0; i < handler->processes; i++)
		runners->items[i].owner = runners;
	uv_timer_init(executor->loop, &runners->retry);
	runners->retry.data = runners;
	executor->open_handles++;
	return runners;
}

static struct runners *runners_of(struct attempt *attempt)
{
	struct executor *executor = attempt->executor;
	struct handler *handler = &executor->handlers.items[attempt->handler - executor->handlers.items];

	if (!handler->runners)
		handler->runners = runners_new(executor, handler);
	return handler->runners;
}

static bool start(struct attempt *attempt)
{
	struct runners *runners = runners_of(attempt);
	struct ticket *ticket = xcalloc(1, sizeof *ticket);
	bool ended = false;

	ticket->attempt = attempt;
	ticket->ended = &ended;
	attempt->ticket = ticket;
	DL_APPEND(runners->waiting, ticket);
	serve(runners);
	if (!ended)
		ticket->ended = NULL;
	return !ended;
}

/* True: it waited, and has ended now. */
static bool stop_waiting(struct attempt *attempt)
{
	struct ticket *ticket = attempt->ticket;

	if (ticket->runner)
		return false;
	DL_DELETE(attempt->handler->runners->waiting, ticket);
	fail_ticket(ticket, JOB_REASON_ERROR, "stopped while it waited for a runner");
	return true;
}

static void term(struct attempt *attempt)
{
	CLEANUP(buf_release) struct buf out = BUF_INIT;

	if (stop_waiting(attempt))
		return;
	runner_write_cancel(&out, attempt->ticket->seq);
	runner_send(attempt->ticket->runner, &out);
}

static void kill_runner(struct attempt *attempt)
{
	if (stop_waiting(attempt))
		return;
	attempt->ticket->runner->expected = true;
	child_signal(&attempt->ticket->runner->child, SIGKILL);
}

static void tick(struct attempt *attempt)
{
	struct ticket *ticket = attempt->ticket;
	const char *tail;
	size_t len;

	if (ticket->runner && ticket->runner->hung_up_at && ticket->runner->hung_up_at + HANG_UP_MS < clock_mono_ms())
		runner_condemn(ticket->runner, "it closed its standard output");
	if (!ticket->output.grew)
		return;
	tail = output_tail(&ticket->output, &len);
	attempt->callbacks->output(attempt->data, tail, len);
}

static void drop(struct attempt *attempt) { ticket_free(attempt->ticket); }

static void on_retry_closed(uv_handle_t *handle)
{
	struct runners *runners = handle->data;
	executor_handle_closed(runners->executor);
}

void runners_close(struct executor *executor, struct handler *handler)
{
	struct runners *runners = handler->runners;

	(void)executor;
	if (!runners)
		return;
	for (int i = 0; i < handler->processes; i++)
		runner_unlink(&runners->items[i]);
	uv_close((uv_handle_t *)&runners->retry, on_retry_closed);
}

void runners_free(struct runners *runners)
{
	if (!runners)
		return;
	for (int i = 0; i < runners->handler->processes; i++)
		free(runners->items[i].complaint);
	free(runners);
}

const struct kind kind_runner = {.name = "runner",
				 .wants_results = true,
				 .start = start,
				 .term = term,
				 .kill = kill_runner,
				 .tick = tick,
				 .drop = drop};
