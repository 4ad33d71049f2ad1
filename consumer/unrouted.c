#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "broker/topology.h"
#include "unrouted.h"

#define LIMIT_MS 5000

struct rescue {
	struct broker *broker;
	const char *prefix, *pool;
	const char *const *priorities;
	size_t priority_count;
	int64_t left;   /* messages not seen yet */
	uint64_t *tags; /* delivery tags by publish number; 0: acknowledged */
	size_t published, size, open;
	struct err err;
};

static void note(struct rescue *r, uint64_t tag)
{
	if (r->published == r->size) {
		r->size = r->size ? 2 * r->size : 256;
		r->tags = xrealloc(r->tags, r->size * sizeof *r->tags);
	}
	r->tags[r->published++] = tag;
	r->open++;
}

/* Routing keys are POOL.PRIORITY; only the queues that this worker has just declared are known to be there. */
static bool ours(const struct rescue *r, const char *routing_key)
{
	size_t len = strlen(r->pool);

	if (strncmp(routing_key, r->pool, len) != 0 || routing_key[len] != '.')
		return false;
	for (size_t i = 0; i < r->priority_count; i++)
		if (strcmp(routing_key + len + 1, r->priorities[i]) == 0)
			return true;
	return false;
}

static int move(struct rescue *r, const struct broker_event *event)
{
	const struct broker_message *m = &event->message;
	struct broker_out out = {.exchange = "",
				 .body = m->body,
				 .body_len = m->body_len,
				 .like = m->properties,
				 .user = broker_user(m)};
	struct buf queue = BUF_INIT;
	int result;

	buf_addf(&queue, "%s.%s", r->prefix, m->routing_key);
	out.routing_key = queue.data;
	result = broker_publish(r->broker, 2, &out, &r->err);
	buf_release(&queue);
	note(r, event->tag);
	BROKER_FAULT(r->broker, UNROUTED_PUBLISHED);
	return result;
}

static int on_confirm(struct rescue *r, const struct broker_event *event, uint64_t *confirmed)
{
	uint64_t from = event->multiple ? *confirmed + 1 : event->tag;

	for (uint64_t tag = from; tag <= event->tag && tag <= r->published; tag++) {
		uint64_t *delivery = &r->tags[tag - 1];
		if (*delivery == 0)
			continue; /* confirmed alone before */
		r->open--;
		BROKER_FAULT(r->broker, UNROUTED_CONFIRMED);
		if (broker_ack(r->broker, 1, *delivery, false, &r->err) < 0)
			return r->err.code;
		*delivery = 0;
	}
	if (event->tag > *confirmed)
		*confirmed = event->tag;
	return 0;
}

static int step(struct rescue *r, const struct broker_event *event, uint64_t *confirmed)
{
	switch (event->kind) {
	case BROKER_DELIVERY: r->left--; return ours(r, event->message.routing_key) ? move(r, event) : 0;
	case BROKER_ACK: return on_confirm(r, event, confirmed);
	case BROKER_RETURN: return err_set(&r->err, ERR_SERVICE, "a queue of the pool is gone again");
	case BROKER_CHANNEL_CLOSED:
	case BROKER_CANCELLED: return err_set(&r->err, ERR_REFUSED, "%s", event->text);
	default: return 0;
	}
}

/* Without a bound on what is unacknowledged: what is of other pools stays so, and ours may lie behind it. */
static int work(struct rescue *r, const char *queue)
{
	int64_t until = clock_mono_ms() + LIMIT_MS;
	uint64_t confirmed = 0;
	struct broker_event event;

	if (broker_qos(r->broker, 1, 0, &r->err) < 0 || broker_consume(r->broker, 1, queue, "unrouted", &r->err) < 0)
		return r->err.code;
	while ((r->left > 0 || r->open > 0) && clock_mono_ms() < until) {
		if (broker_next(r->broker, &event, &r->err) < 0)
			return r->err.code;
		if (event.kind == BROKER_NOTHING) {
			struct pollfd fd = {.fd = broker_fd(r->broker), .events = POLLIN};
			poll(&fd, 1, 100);
		} else if (step(r, &event, &confirmed) < 0) {
			return r->err.code;
		}
	}
	if (r->left > 0 || r->open > 0)
		return err_set(&r->err, ERR_AGAIN, "there is more than can be moved at a time");
	return 0;
}

static int rescue(struct rescue *r, const char *queue)
{
	int64_t consumers;
	int result = broker_channel(r->broker, 1, &r->err);

	if (result == 0)
		result = broker_channel(r->broker, 2, &r->err);
	if (result == 0)
		result = broker_confirm_select(r->broker, 2, &r->err);
	if (result == 0)
		result = broker_queue_depth(r->broker, 1, queue, &r->left, &consumers, &r->err);
	if (result < 0 || r->left == 0)
		return result;
	result = work(r, queue);
	/* an answer means that the acknowledgements before it have arrived: else it all comes again, and is moved again
	 */
	return result == 0 ? broker_queue_depth(r->broker, 2, queue, &r->left, &consumers, &r->err) : result;
}

enum unrouted unrouted_rescue(const struct broker_options *options, const char *prefix, const char *pool,
			      const char *const *priorities, size_t priority_count)
{
	struct rescue r = {.prefix = prefix, .pool = pool, .priorities = priorities, .priority_count = priority_count};
	char queue[TOPOLOGY_NAME_MAX];
	int result;

	topology_unrouted(queue, prefix);
	result = broker_open(options, &r.broker, &r.err);
	if (result == 0)
		result = rescue(&r, queue);
	if (result < 0)
		log_debug("unrouted: %s", r.err.text);
	broker_close(r.broker, true);
	free(r.tags);
	if (result != ERR_SERVICE && result != ERR_AGAIN)
		return UNROUTED_DONE;
	return r.published > 0 || result == ERR_SERVICE ? UNROUTED_MORE : UNROUTED_IN_VAIN;
}
