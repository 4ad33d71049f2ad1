/* The queues: whether they are as they should be, what lies in them, who reads them, and whether there is a message for
 * each job that needs one. Each look has a connection of its own, for a survey may last longer than a heartbeat. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "broker/topology.h"
#include "doctor/doctor.h"
#include "doctor/queues.h"

#define CHANNEL 1
#define PROBE_MS 1000

int queues_open(struct doctor *doctor, struct broker **ret, struct err *err)
{
	struct broker_options options = {.url = doctor->session->app->services.amqp_url,
					 .name = "flotilla doctor",
					 .timeout_ms = 5000,
					 .tls = &doctor->session->app->services.tls};
	int r = broker_open(&options, ret, err);

	if (r == 0 && broker_channel(*ret, CHANNEL, err) < 0) {
		*ret = broker_close(*ret, false);
		return err->code;
	}
	return r;
}

/* --- what should be there --- */

static int check_fleet(struct broker *broker, struct doctor *doctor, size_t alive, struct findings *into,
		       struct err *err)
{
	const char *prefix = doctor->session->app->services.prefix;
	size_t missing = 0;
	char name[TOPOLOGY_NAME_MAX];
	int r = topology_missing(broker, CHANNEL, prefix, &missing, name, err);

	if (r < 0)
		return r;
	if (missing == TOPOLOGY_PARTS && alive == 0)
		return 0; /* the first worker declares them */
	if (missing > 0) {
		found(into, KIND_TOPOLOGY_MISSING, name, "",
		      "it does not exist: what is published to it, or returned, is lost");
		return 0;
	}
	r = topology_declare_fleet(broker, CHANNEL, prefix, err);
	if (r != ERR_REFUSED)
		return r;
	found(into, KIND_QUEUE_OTHERWISE, prefix, "", "%s", err->text);
	return 0;
}

static int check_arguments(struct broker *broker, struct doctor *doctor, const struct queued *queued,
			   struct findings *into, struct err *err)
{
	int r = topology_declare_queue(broker, CHANNEL, doctor->session->app->services.prefix, queued->pool,
				       queued->priority, err);

	if (r != ERR_REFUSED)
		return r;
	found(into, KIND_QUEUE_OTHERWISE, queued->key, "", "%s", err->text);
	return 0;
}

/* --- what lies in them --- */

static int check_rest(struct broker *broker, struct doctor *doctor, struct findings *into, struct err *err)
{
	static const struct {
		enum doctor_kind kind;
		void (*name)(char *name, const char *prefix);
		const char *words;
	} rest[] = {
		{KIND_REJECTED, topology_rejected, "messages that are no jobs lie there"},
		{KIND_UNROUTED, topology_unrouted, "messages for a pool that has no queue lie there"},
		{KIND_RETURNED, topology_returned, "messages that RabbitMQ has given up on lie there"},
	};

	for (size_t i = 0; i < sizeof rest / sizeof *rest; i++) {
		char name[TOPOLOGY_NAME_MAX];
		int64_t messages = 0, consumers = 0;
		int r;
		rest[i].name(name, doctor->session->app->services.prefix);
		r = broker_queue_depth(broker, CHANNEL, name, &messages, &consumers, err);
		if (r < 0 && r != ERR_NOT_FOUND)
			return r;
		if (r == 0 && messages > 0)
			found(into, rest[i].kind, name, "", "%" PRId64 " %s", messages, rest[i].words);
	}
	return 0;
}

static void list_queues(struct doctor *doctor)
{
	const struct job_limits *limits = &doctor->session->limits;
	struct texts pools = workers_pools(&doctor->workers);

	for (size_t i = 0; i < pools.count; i++)
		for (size_t j = 0; j < limits->priority_count; j++)
			queued_of(doctor, pools.at[i], limits->priorities[j]);
	texts_release(&pools);
}

static int read_queue(struct broker *broker, struct doctor *doctor, struct queued *queued, struct findings *into,
		      struct err *err)
{
	char name[TOPOLOGY_NAME_MAX];
	int r;

	topology_queue(name, doctor->session->app->services.prefix, queued->pool, queued->priority);
	r = broker_queue_depth(broker, CHANNEL, name, &queued->messages, &queued->consumers, err);
	if (r == ERR_NOT_FOUND)
		queued->messages = -1;
	return r == 0 ? check_arguments(broker, doctor, queued, into, err) : r == ERR_NOT_FOUND ? 0 : r;
}

/* --- who reads them --- */

static size_t serve(const struct doctor *doctor, const char *pool, int64_t *ret_held)
{
	size_t count = 0;

	*ret_held = 0;
	for (size_t i = 0; i < doctor->workers.count; i++)
		if (worker_serves(&doctor->workers.at[i], pool)) {
			count++;
			*ret_held += worker_int(&doctor->workers.at[i], "held");
		}
	return count;
}

static void check_workers(struct doctor *doctor, struct queued *queued, struct findings *into)
{
	size_t workers = serve(doctor, queued->pool, &queued->held);
	int64_t messages = queued->messages > 0 ? queued->messages : 0;

	if (messages + queued->held > queued->most)
		queued->most = messages + queued->held;
	if (workers == 0 && (messages > 0 || queued->jobs > 0))
		found(into, KIND_NO_WORKER, queued->key, "",
		      "%" PRId64 " jobs are queued there, %" PRId64
		      " messages lie there%s, and no worker of the pool %s lives",
		      queued->jobs, messages, queued->messages == -1 ? " (there is no such queue)" : "", queued->pool);
}

/* --- whether it takes messages --- */

/* RabbitMQ tells of an alarm when something is published. What goes to a queue that cannot be comes back. */
static int check_alarm(struct broker *broker, struct doctor *doctor, struct findings *into, struct err *err)
{
	char nowhere[TOPOLOGY_NAME_MAX];
	struct broker_out out = {.exchange = "", .routing_key = nowhere, .body = "", .type = "flotilla.probe"};
	struct broker_event event;
	int64_t wait_ms = PROBE_MS;
	int r;

	topology_queue(nowhere, doctor->session->app->services.prefix, "~doctor", "~nowhere");
	r = broker_publish(broker, CHANNEL, &out, err);
	while (r == 0 && (r = broker_next(broker, &event, err)) == 0) {
		if (event.kind == BROKER_RETURN || event.kind == BROKER_CHANNEL_CLOSED)
			return 0;
		if (event.kind == BROKER_BLOCKED)
			found(into, KIND_BROKER_ALARM, "rabbitmq", "", "it does not take messages at present: %s",
			      event.text);
		if (event.kind == BROKER_BLOCKED || (event.kind == BROKER_NOTHING && !queues_sleep(broker, &wait_ms)))
			return 0;
	}
	return r;
}

int look_queues(struct doctor *doctor, struct findings *into, struct err *err)
{
	struct broker *broker = NULL;
	struct queued *queued, *next;
	size_t alive = 0;
	int r = queues_open(doctor, &broker, err);

	if (r < 0)
		return r;
	for (size_t i = 0; i < doctor->workers.count; i++)
		alive += doctor->workers.at[i].alive;
	list_queues(doctor);
	r = check_fleet(broker, doctor, alive, into, err);
	if (r == 0)
		r = check_rest(broker, doctor, into, err);
	HASH_ITER(hh, doctor->queued, queued, next)
	if (r == 0 && (r = read_queue(broker, doctor, queued, into, err)) == 0)
		check_workers(doctor, queued, into);
	if (r == 0)
		r = check_alarm(broker, doctor, into, err);
	broker_close(broker, r == 0);
	return r;
}
