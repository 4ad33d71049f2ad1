#include "fleet_view.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "broker/topology.h"
#include "out.h"
#include "record.h"
#include "unserved.h"

static int read_indices(struct session *session, struct fleet_view *view, struct err *err)
{
	CLEANUP(store_reply_freep) struct store_reply *stats = session_ask(session, "HGETALL", KEY_STATS, "", err);

	if (!stats)
		return err->code;
	for (int i = 0; i < JOB_STATE_COUNT; i++)
		view->ended[i] = record_int(stats, job_state_name((enum job_state)i), 0);
#define X(name, key)                                                                                                   \
	{                                                                                                              \
		CLEANUP(store_reply_freep) struct store_reply *card = session_ask(session, "ZCARD", key, "", err);     \
		if (!card)                                                                                             \
			return err->code;                                                                              \
		view->name = store_reply_int(card);                                                                    \
	}
	INDEX_MAP(X)
#undef X
	return 0;
}

/* --- queues --- */

struct depths {
	struct fleet_view *view;
	struct session *session;
	size_t answered;
};

struct depth {
	struct depths *depths;
	struct queue *queue;
};

static void on_depth(void *data, int64_t messages, int64_t consumers)
{
	struct depth *depth = data;

	depth->queue->ready = messages;
	depth->queue->consumers = consumers;
	depth->depths->answered++;
}

static bool all_answered(void *data)
{
	struct depths *depths = data;
	return depths->answered == depths->view->queue_count;
}

static bool broker_is_up(void *data) { return publisher_up(((struct session *)data)->publisher); }

static void list_queues(struct session *session, const struct texts *pools, struct fleet_view *view)
{
	const struct job_limits *limits = &session->limits;

	view->queues = xcalloc(pools->count * limits->priority_count + 1, sizeof *view->queues);
	for (size_t i = 0; i < pools->count; i++)
		for (size_t j = 0; j < limits->priority_count; j++)
			view->queues[view->queue_count++] =
				(struct queue){xstrdup(pools->at[i]), limits->priorities[j], -2, 0};
}

static int read_queues(struct session *session, int64_t broker_ms, struct fleet_view *view, struct err *err)
{
	CLEANUP(freep) struct depth *calls = xcalloc(view->queue_count + 1, sizeof *calls);
	struct depths depths = {view, session, 0};
	char name[TOPOLOGY_NAME_MAX];
	int r = session_run(session, broker_is_up, session, broker_ms, err);

	if (r == ERR_TIMEOUT)
		return 0; /* all but the queues is shown */
	if (r < 0)
		return r;
	for (size_t i = 0; i < view->queue_count; i++) {
		struct queue *queue = &view->queues[i];
		calls[i] = (struct depth){&depths, queue};
		topology_queue(name, session->app->services.prefix, queue->pool, queue->priority);
		publisher_depth(session->publisher, name, on_depth, &calls[i]);
	}
	r = session_run(session, all_answered, &depths, -1, err);
	view->broker = r == 0;
	return r;
}

int fleet_view_read(struct session *session, const struct texts *pools, int64_t broker_ms, struct fleet_view *ret,
		    struct err *err)
{
	CLEANUP(texts_release) struct texts shown = {0};
	CLEANUP(ids_release) struct ids unserved = {0};
	int r;

	memset(ret, 0, sizeof *ret);
	r = workers_read(session, &ret->workers, err);
	if (r == 0)
		r = read_indices(session, ret, err);
	if (r < 0)
		return r;
	shown = workers_pools(&ret->workers);
	r = unserved_pools(session, &shown, &unserved, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < unserved.count; i++)
		texts_add(&shown, unserved.at[i]);
	list_queues(session, pools && pools->count ? pools : &shown, ret);
	return read_queues(session, broker_ms, ret, err);
}

void fleet_view_release(struct fleet_view *view)
{
	workers_release(&view->workers);
	for (size_t i = 0; i < view->queue_count; i++)
		free(view->queues[i].pool);
	free(view->queues);
	view->queues = NULL;
	view->queue_count = 0;
}

/* --- shown --- */

void fleet_view_counts(const struct fleet_view *view, bool fancy, struct buf *ret)
{
	buf_addf(ret, "%sended%s     ", out_bold(fancy), out_plain(fancy));
	for (int i = 0; i < JOB_STATE_COUNT; i++)
		if (job_state_ended((enum job_state)i)) {
			const char *name = job_state_name((enum job_state)i);
			buf_addf(ret, " %s%s%s %" PRId64, out_state_color(name, fancy), name, out_plain(fancy),
				 view->ended[i]);
		}
	buf_addf(ret, "\n%sin Redis%s   running %" PRId64, out_bold(fancy), out_plain(fancy), view->leases);
#define X(name, key)                                                                                                   \
	if (key != KEY_LEASES)                                                                                         \
		buf_addf(ret, " " #name " %" PRId64, view->name);
	INDEX_MAP(X)
#undef X
	buf_adds(ret, "\n");
}

void fleet_view_queues(const struct fleet_view *view, bool fancy, struct buf *ret)
{
	struct table table = {.columns = 4, .fancy = fancy, .state = 4, .right = "llrr"};
	static const char *const head[] = {"POOL", "PRIORITY", "READY", "CONSUMERS"};

	if (!view->broker) {
		buf_adds(ret, "RabbitMQ does not answer: the lengths of the queues are not known\n");
		return;
	}
	for (size_t i = 0; i < 4; i++)
		table_add(&table, head[i]);
	for (size_t i = 0; i < view->queue_count; i++) {
		const struct queue *queue = &view->queues[i];
		if (queue->ready < 0)
			continue;
		table_add(&table, queue->pool);
		table_add(&table, queue->priority);
		table_addf(&table, "%" PRId64, queue->ready);
		table_addf(&table, "%" PRId64, queue->consumers);
	}
	table_write(&table, ret);
	table_release(&table);
}

json_t *fleet_view_json(const struct fleet_view *view)
{
	json_t *doc = json_object(), *ended = json_object(), *queues = json_array();
	size_t alive = 0;

	for (int i = 0; i < JOB_STATE_COUNT; i++)
		if (job_state_ended((enum job_state)i))
			json_object_set_new(ended, job_state_name((enum job_state)i), json_integer(view->ended[i]));
	for (size_t i = 0; i < view->workers.count; i++)
		alive += view->workers.at[i].alive;
	json_object_set_new(doc, "ended", ended);
	json_object_set_new(doc, "workers", json_integer((json_int_t)alive));
#define X(name, key) json_object_set_new(doc, #name, json_integer(view->name));
	INDEX_MAP(X)
#undef X
	for (size_t i = 0; i < view->queue_count; i++) {
		const struct queue *queue = &view->queues[i];
		json_t *row = json_object();
		json_object_set_new(row, "pool", json_string(queue->pool));
		json_object_set_new(row, "priority", json_string(queue->priority));
		json_object_set_new(row, "ready", queue->ready < 0 ? json_null() : json_integer(queue->ready));
		json_object_set_new(row, "consumers", queue->ready < 0 ? json_null() : json_integer(queue->consumers));
		json_array_append_new(queues, row);
	}
	json_object_set_new(doc, "queues", queues);
	return doc;
}
