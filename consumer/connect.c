/* Connecting, on a thread of libuv's pool, since it blocks: log in, declare, look for what lies unrouted for the pool.
 */
#include "base/buf.h"
#include "unrouted.h"
#include "worker.h"

struct connecting {
	uv_work_t work;
	struct worker *worker;
	struct broker *broker;
	struct err err;
	int result;
};

static int declare(struct connecting *c)
{
	const struct worker *worker = c->worker;
	const struct worker_options *o = &worker->options;

	if (broker_channel(c->broker, 1, &c->err) < 0 || topology_declare_fleet(c->broker, 1, o->prefix, &c->err) < 0)
		return c->err.code;
	for (size_t i = 0; i < worker->level_count; i++)
		if (topology_declare_queue(c->broker, 1, o->prefix, o->pool, worker->levels[i].name, &c->err) < 0)
			return c->err.code;
	return 0;
}

/* A worker that stands still keeps the messages that were sent to it until the broker misses two heartbeats, and as
 * long it takes a worker to see that a network was cut: less than a lease. */
int intake_heartbeat_s(const struct worker_options *o)
{
	int64_t s = o->lease_ms / 3000;
	return s < 1 ? 1 : s > 10 ? 10 : (int)s;
}

static void connect_work(uv_work_t *work)
{
	struct connecting *c = work->data;
	const struct worker_options *o = &c->worker->options;
	const struct broker_options options = {
		.url = o->amqp_url, .name = o->name, .heartbeat_s = intake_heartbeat_s(o)};

	c->result = broker_open(&options, &c->broker, &c->err);
	if (c->result < 0)
		return;
	c->result = declare(c);
	BROKER_FAULT(c->broker, CONSUME_CONNECTED);
	if (c->result == 0)
		unrouted_rescue(&options, o->prefix, o->pool, c->worker->limits.priorities,
				c->worker->limits.priority_count);
	else
		c->broker = broker_close(c->broker, false);
}

static void connect_done(uv_work_t *work, int status)
{
	struct connecting *c = work->data;
	struct worker *worker = c->worker;

	worker->intake.connecting = false;
	if (status < 0 || worker->draining || worker->finished) {
		broker_close(c->broker, false);
	} else if (c->result < 0) {
		intake_lost(worker, &c->err);
	} else {
		intake_adopt(worker, c->broker);
	}
	free(c);
}

void intake_connect(struct worker *worker)
{
	struct connecting *c = xcalloc(1, sizeof *c);

	c->worker = worker;
	c->work.data = c;
	worker->intake.connecting = true;
	uv_queue_work(worker->loop, &c->work, connect_work, connect_done);
}
