/* One delivery: an invitation (the body is an id), a job (decoded, admitted), or no job (to PREFIX.rejected, with the
 * reason). */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "job/reply.h"
#include "worker.h"

/* --- what is no job --- */

struct rejection {
	struct worker *worker;
	uint64_t generation, tag;
	size_t open; /* publications not confirmed yet */
};

static void one_less(struct rejection *rejection)
{
	if (--rejection->open > 0)
		return;
	acks_tag(rejection->worker, rejection->generation, rejection->tag);
	free(rejection);
}

/* Only what is safe elsewhere is acknowledged here; anything else comes again with the next session. */
static void on_moved(void *data, enum publish_outcome outcome)
{
	struct rejection *rejection = data;

	struct worker *worker = rejection->worker;
	bool current = rejection->generation == worker->intake.generation;

	BROKER_FAULT(worker->intake.broker, MOVE_CONFIRMED);
	if (outcome != PUBLISH_CONFIRMED)
		rejection->tag = 0;
	one_less(rejection);
	/* a new session declares the queues that are missing */
	if (outcome == PUBLISH_RETURNED && current)
		intake_again(worker, "no queue took a message that was to be moved");
}

/* A reply queue that is gone, or has no room, harms nobody but who waits there. */
static void on_answered(void *data, enum publish_outcome outcome)
{
	(void)outcome;
	one_less(data);
}

/* What the sender may know it by; NULL: nothing. */
static char *guess_id(const struct broker_message *message)
{
	const struct job_message partial = {.body = message->body,
					    .body_len = message->body_len,
					    .content_type = message->content_type,
					    .content_encoding = message->content_encoding,
					    .message_id = message->message_id};

	return job_guess_id(&partial);
}

struct asker {
	const char *reply_to, *correlation_id;
	size_t correlation_len;
};

static void send_answer(struct rejection *rejection, const char *id, enum job_reason reason, const char *error,
			enum job_encoding encoding, struct asker asker)
{
	struct buf body = BUF_INIT;

	job_reply_rejected(id, reason, error, encoding, &body);
	const struct broker_out out = {.exchange = "",
				       .routing_key = asker.reply_to,
				       .body = body.data,
				       .body_len = body.len,
				       .type = "flotilla.reply",
				       .content_type =
					       encoding == JOB_JSON ? "application/json" : "application/msgpack",
				       .correlation_id = asker.correlation_id,
				       .correlation_len = asker.correlation_len};
	rejection->open++;
	/* once: a queue that refuses for ever would hold the delivery for as long, and some of those all that is
	 * prefetched */
	publisher_offer(rejection->worker->publisher, &out, on_answered, rejection);
	buf_release(&body);
}

static void answer_rejected(struct rejection *rejection, const struct broker_message *message, const char *id,
			    const char *reason)
{
	const char *type = message->content_type;
	bool json = type ? strncasecmp(type, "application/json", 16) == 0
			 : message->body_len > 0 && message->body[strspn(message->body, " \t\r\n")] == '{';

	send_answer(rejection, id, JOB_REASON_REJECTED, reason, json ? JOB_JSON : JOB_MSGPACK,
		    (struct asker){message->reply_to, message->correlation_id, message->correlation_len});
}

void reject(struct worker *worker, const struct broker_event *event, const char *from, const char *reason)
{
	const struct broker_message *message = &event->message;
	struct rejection *rejection = xcalloc(1, sizeof *rejection);
	char queue[TOPOLOGY_NAME_MAX];
	const struct broker_header headers[] = {{"x-flotilla-reason", reason, 0}, {"x-flotilla-from", from, 0}};
	struct broker_out out = {.exchange = "", .routing_key = queue};
	CLEANUP(freep) char *id = guess_id(message);
	const struct log_job job = {.id = id};

	worker->counts.rejected++;
	worker->intake.started++;
	log_line(LOG_LEVEL_WARN, &job, "a message of %s is no job, and lies in %s.rejected: %s", from,
		 worker->options.prefix, reason);
	*rejection = (struct rejection){worker, worker->intake.generation, event->tag, 1};
	topology_rejected(queue, worker->options.prefix);
	out.body = message->body;
	out.body_len = message->body_len;
	out.headers = headers;
	out.header_count = 2;
	out.like = broker_properties_copy(message->properties);
	out.user = broker_user(message);
	if (message->reply_to && message->reply_to[0] && !topology_owns(worker->options.prefix, message->reply_to))
		answer_rejected(rejection, message, id, reason);
	BROKER_FAULT(worker->intake.broker, MOVE_HANDED);
	publisher_send(worker->publisher, &out, on_moved, rejection);
}

/* --- what the broker gave up on --- */

/* It came by the default exchange, as the broker has it of what it gave up on, whoever wrote it: nothing but the
 * broker's own word says who that was. With that it is published to its queue by name, where a stranger cannot write
 * it; should the queue be gone, it comes here again, and goes by the exchange then, with nobody's name. */
void deliver_returned(struct worker *worker, const struct broker_event *event)
{
	struct broker_event own = *event;
	const struct broker_message *message = &own.message;
	const struct broker_header header = {"x-flotilla-returned", NULL, message->returned + 1};
	struct rejection *rejection;
	size_t prefix = strlen(worker->options.prefix);
	struct broker_out out = {.exchange = worker->options.prefix, .headers = &header, .header_count = 1};

	own.message.moved_user = NULL;
	if (message->returned + 1 >= 3 || !message->dead_queue ||
	    !topology_owns(worker->options.prefix, message->dead_queue) || message->dead_queue[prefix] != '.') {
		reject(worker, &own, message->dead_queue ? message->dead_queue : "returned",
		       "the broker gave up on it three times");
		return;
	}
	worker->counts.moved++;
	rejection = xcalloc(1, sizeof *rejection);
	*rejection = (struct rejection){worker, worker->intake.generation, event->tag, 1};
	/* through the exchange: where the queue is gone, the alternate exchange keeps it */
	out.routing_key = message->dead_queue + prefix + 1;
	if (message->user_id && !event->redelivered && strchr(out.routing_key, '.')) {
		out.exchange = "";
		out.routing_key = message->dead_queue;
		out.user = message->user_id;
	}
	out.body = message->body;
	out.body_len = message->body_len;
	out.like = broker_properties_copy(message->properties);
	BROKER_FAULT(worker->intake.broker, MOVE_HANDED);
	publisher_send(worker->publisher, &out, on_moved, rejection);
}

/* --- a job --- */

/* Whether the queue it came by is the one where it is to run; else it is owed an invitation there. */
static bool at_home(const struct item *item)
{
	const struct worker *worker = item->worker;
	return strcmp(item->job.pool, worker->options.pool) == 0 &&
	       strcmp(item->job.priority, worker->levels[item->level].name) == 0;
}

/* A job that Redis would not take for a reason that does not pass, or that somebody else's stands in the way of: its
 * spec is all that is left of the message. */
static void park(struct item *item, enum job_reason word, const char *reason)
{
	struct worker *worker = item->worker;
	struct rejection *rejection = xcalloc(1, sizeof *rejection);
	char queue[TOPOLOGY_NAME_MAX];
	const struct broker_header headers[] = {{"x-flotilla-reason", reason, 0},
						{"x-flotilla-from", worker->levels[item->level].queue, 0}};
	const struct broker_out out = {.exchange = "",
				       .routing_key = queue,
				       .body = item->job.spec,
				       .body_len = item->job.spec_len,
				       .content_type = "application/msgpack",
				       .message_id = item->id,
				       .headers = headers,
				       .header_count = 2};
	const struct log_job job = item_log(item);

	if (item->generation != worker->intake.generation || !worker->intake.broker) {
		item_free(item); /* the message comes again */
		free(rejection);
		return;
	}
	worker->counts.rejected++;
	log_line(LOG_LEVEL_ERROR, &job, "it cannot be admitted, and lies in %s.rejected: %s", worker->options.prefix,
		 reason);
	*rejection = (struct rejection){worker, item->generation, item->tag, 1};
	topology_rejected(queue, worker->options.prefix);
	if (item->job.reply_to)
		send_answer(rejection, item->id, word, reason, item->job.encoding,
			    (struct asker){item->job.reply_to, item->job.correlation_id, item->job.correlation_len});
	publisher_send(worker->publisher, &out, on_moved, rejection);
	item_free(item);
}

void deliver_refused(struct item *item, const char *reason) { park(item, JOB_REASON_REJECTED, reason); }

static void on_admitted(void *data, const struct fleet_admission *admission)
{
	struct item *item = data;

	if (admission->error) {
		park(item, admission->foreign ? JOB_REASON_NOT_ALLOWED : JOB_REASON_REJECTED, admission->error);
		return;
	}
	if (strcmp(admission->state, "queued") == 0 && at_home(item) && item->job.after_count == 0) {
		schedule_hold(item);
		return;
	}
	item->worker->intake.started++;
	acks_item_durable(item);
	item_free(item);
}

void deliver_admit(struct item *item)
{
	item->state = ITEM_ADMITTING;
	item->fresh = false;
	fleet_admit(item->worker->fleet, &item->job, !at_home(item), on_admitted, item);
}

static void deliver_invitation(struct worker *worker, size_t level, const struct broker_event *event)
{
	const struct broker_message *message = &event->message;
	CLEANUP(freep) char *id = xmemdup0(message->body, message->body_len);
	struct item *item;

	if (!job_id_valid(message->body, message->body_len)) {
		reject(worker, event, worker->levels[level].queue,
		       "a flotilla.invite whose body is no job id; only the fleet sends these");
		return;
	}
	item = item_new(worker, level, worker->intake.generation, event->tag, id);
	item->instant = message->task && executor_instant(worker->executor, message->task);
	schedule_hold(item);
}

void deliver(struct worker *worker, size_t level, const struct broker_event *event)
{
	const struct broker_message *m = &event->message;
	const struct job_message message = {
		.body = m->body,
		.body_len = m->body_len,
		.content_type = m->content_type,
		.content_encoding = m->content_encoding,
		.message_id = m->message_id,
		.reply_to = m->reply_to,
		.correlation_id = m->correlation_id,
		.correlation_len = m->correlation_len,
		.pool = worker->options.pool,
		.priority = worker->levels[level].name,
		.user = broker_user(m),
	};
	struct item *item;
	struct err err;

	if (m->type && strcmp(m->type, "flotilla.invite") == 0) {
		deliver_invitation(worker, level, event);
		return;
	}
	if (worker->options.require_user && !message.user) {
		reject(worker, event, worker->levels[level].queue,
		       "user_id: missing; this fleet takes jobs only from those who say who they are");
		return;
	}
	if (signed_check(worker, level, m, &err) < 0) {
		reject(worker, event, worker->levels[level].queue, err.text);
		return;
	}
	item = item_new(worker, level, worker->intake.generation, event->tag, NULL);
	item->decoded = job_decode(&item->job, &message, &worker->limits, &err) == 0;
	if (!item->decoded || signed_check_job(item, &err) < 0) {
		item_free(item);
		reject(worker, event, worker->levels[level].queue, err.text);
		return;
	}
	item->instant = executor_instant(worker->executor, item->job.task);
	if (!item->job.id)
		job_make_id(&item->job);
	item->id = xstrdup(item->job.id);
	if (!claim_start(item))
		deliver_admit(item);
}
