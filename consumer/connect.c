/* Connecting, on a thread of libuv's pool, since it blocks: log in, declare and mark, look for what lies unrouted for
 * the pool. Where that could not be brought to its end it is done again later, beside the session. */
#include "base/buf.h"
#include "base/clock.h"
#include "unrouted.h"
#include "worker.h"

#define UNROUTED_MS 5000
#define UNROUTED_MAX_MS 300000 /* where what was seen is all of other pools, and reading it is a burden */

struct connecting {
	uv_work_t work;
	struct worker *worker;
	struct broker *broker;
	struct err err;
	int result;
	enum unrouted unrouted;
	bool marked[WORKER_LEVELS];
	bool declared_again; /* a queue has consumers and no mark: it is not the one that they took it for */
};

/* Who looks later must not find the mark that is made here instead of the old queue's, and take it for that: so those
 * are told. The consumers are counted first: another worker that is beginning may have no mark yet, but then it does
 * not consume either. Without the right to it, it is done without. */
static int mark(struct connecting *c, size_t level)
{
	const char *queue = c->worker->levels[level].queue;
	int64_t messages, consumers;
	int found, r;

	r = broker_queue_depth(c->broker, 1, queue, &messages, &consumers, &c->err);
	if (r < 0)
		return r;
	found = topology_marked(c->broker, 1, queue, &c->err);
	if (found < 0 && found != ERR_NOT_FOUND)
		return found;
	r = topology_mark(c->broker, 1, queue, &c->err);
	c->marked[level] = r == 0;
	c->declared_again = c->declared_again || (found < 0 && consumers > 0 && r == 0);
	return r == ERR_REFUSED ? 0 : r;
}

static int declare(struct connecting *c)
{
	const struct worker *worker = c->worker;
	const struct worker_options *o = &worker->options;

	if (broker_channel(c->broker, 1, &c->err) < 0 || topology_declare_fleet(c->broker, 1, o->prefix, &c->err) < 0)
		return c->err.code;
	for (size_t i = 0; i < worker->level_count; i++)
		if (topology_declare_queue(c->broker, 1, o->prefix, o->pool, worker->levels[i].name, &c->err) < 0 ||
		    mark(c, i) < 0)
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

static enum unrouted rescue(const struct worker *worker, const struct broker_options *options)
{
	return unrouted_rescue(options, worker->options.prefix, worker->options.pool, worker->limits.priorities,
			       worker->limits.priority_count);
}

static void unrouted_later(struct worker *worker, enum unrouted was)
{
	struct intake *intake = &worker->intake;

	if (was != UNROUTED_IN_VAIN)
		intake->unrouted_tries = 0;
	intake->unrouted_at = was == UNROUTED_DONE ? 0
						   : clock_mono_ms() + backoff_ms(UNROUTED_MS, UNROUTED_MAX_MS,
										  intake->unrouted_tries++);
}

static void connect_work(uv_work_t *work)
{
	struct connecting *c = work->data;
	const struct worker_options *o = &c->worker->options;
	const struct broker_options options = {
		.url = o->amqp_url, .name = o->name, .heartbeat_s = intake_heartbeat_s(o), .tls = &o->tls};

	c->result = broker_open(&options, &c->broker, &c->err);
	if (c->result < 0)
		return;
	c->result = declare(c);
	BROKER_FAULT(c->broker, CONSUME_CONNECTED);
	if (c->result == 0)
		c->unrouted = rescue(c->worker, &options);
	else
		c->broker = broker_close(c->broker, false);
}

static void begin_watching(struct worker *worker, const struct connecting *c)
{
	for (size_t i = 0; i < worker->level_count; i++)
		worker->levels[i].marked = c->marked[i];
	if (c->declared_again && !worker->intake.told)
		watch_tell(worker);
	worker->intake.told = false;
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
		unrouted_later(worker, c->unrouted);
		begin_watching(worker, c);
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

/* --- what is unrouted, once more --- */

static void unrouted_work(uv_work_t *work)
{
	struct connecting *c = work->data;
	const struct worker_options *o = &c->worker->options;
	const struct broker_options options = {
		.url = o->amqp_url, .name = o->name, .heartbeat_s = intake_heartbeat_s(o), .tls = &o->tls};

	c->unrouted = rescue(c->worker, &options);
}

static void unrouted_done(uv_work_t *work, int status)
{
	struct connecting *c = work->data;

	(void)status;
	c->worker->intake.rescuing = false;
	unrouted_later(c->worker, c->unrouted);
	free(c);
}

void unrouted_tick(struct worker *worker)
{
	struct intake *intake = &worker->intake;
	struct connecting *c;

	if (!intake->broker || intake->rescuing || !intake->unrouted_at || clock_mono_ms() < intake->unrouted_at)
		return;
	c = xcalloc(1, sizeof *c);
	c->worker = worker;
	c->work.data = c;
	intake->rescuing = true;
	uv_queue_work(worker->loop, &c->work, unrouted_work, unrouted_done);
}
