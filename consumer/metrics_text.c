/* The page of /metrics: a worker's own figures; those of jobs, of processes and of the fleet have files of their own.
 * Names and units are Prometheus' (https://prometheus.io/docs/practices/naming). */
#include <stdlib.h>
#include <unistd.h>

#include "flotilla/version.h"
#include "metrics_internal.h"

#define X(name, text) [name] = text,
static const char *const claim_names[COUNT_CLAIMS] = {COUNT_CLAIM_MAP(X)};
static const char *const care_names[COUNT_CARES] = {COUNT_CARE_MAP(X)};
static const char *const connection_names[COUNT_CONNECTIONS] = {COUNT_CONNECTION_MAP(X)};
#undef X

/* --- who this is --- */

static void write_identity(const struct metrics *metrics, struct buf *out)
{
	const struct worker_options *o = &metrics->worker->options;
	char host[256] = "";
	const struct label build[] = {{"version", FLOTILLA_VERSION},
				      {"libuv", uv_version_string()},
				      {"libmicrohttpd", MHD_get_version()},
				      {0}};

	gethostname(host, sizeof host - 1);
	const struct label worker[] = {{"pool", o->pool}, {"name", o->name}, {"host", host}, {0}};
	exposition_single(out, "flotilla_build_info", "gauge", "Always 1; the labels say what runs.", build, 1);
	exposition_single(out, "flotilla_worker_info", "gauge", "Always 1; the labels say which worker this is.",
			  worker, 1);
}

/* --- slots and what is held --- */

static void write_slots(const struct metrics *metrics, struct buf *out)
{
	const struct worker *w = metrics->worker;
	const struct label pool[] = {{"pool", w->options.pool}, {0}};
	char why[200];

	exposition_single(out, "flotilla_ready", "gauge", "Whether /readyz would say so: it consumes, or is full.",
			  pool, health_ready(w, why, sizeof why));
	exposition_single(out, "flotilla_draining", "gauge", "Whether it takes no more jobs and is about to end.", pool,
			  w->draining);
	exposition_single(out, "flotilla_slots", "gauge", "Jobs that may run at a time.", pool,
			  (double)w->options.slots);
	exposition_single(out, "flotilla_jobs_running", "gauge", "Slots that are taken.", pool,
			  (double)w->running_count);
	exposition_single(out, "flotilla_jobs_held", "gauge",
			  "Jobs that came here and wait for a slot, claimed already or not.", pool,
			  (double)(schedule_held(w) + ahead_count(w)));
	exposition_single(out, "flotilla_jobs_in_memory", "gauge",
			  "All jobs here: being registered, held, running, or their outcomes on their way to Redis.",
			  pool, (double)w->items);
}

/* --- by priority --- */

static void write_levels(const struct metrics *metrics, struct buf *out, const char *name, const char *type,
			 const char *help, double (*value)(const struct level *level))
{
	const struct worker *w = metrics->worker;

	exposition_head(out, name, type, help);
	for (size_t i = 0; i < w->level_count; i++) {
		const struct label labels[] = {{"pool", w->options.pool}, {"priority", w->levels[i].name}, {0}};
		exposition_sample(out, name, labels, value(&w->levels[i]));
	}
}

static double prefetch_of(const struct level *level) { return level->consume == CONSUME_OFF ? 0 : level->prefetch; }
static double consuming_of(const struct level *level) { return level->consume == CONSUME_ON; }
static double delivered_of(const struct level *level) { return (double)level->delivered; }

static void write_intake(const struct metrics *metrics, struct buf *out)
{
	const struct counts *c = &metrics->worker->counts;
	const struct label pool[] = {{"pool", metrics->worker->options.pool}, {0}};

	write_levels(metrics, out, "flotilla_prefetch", "gauge",
		     "Unacknowledged messages that the broker may send ahead; 0: it does not consume.", prefetch_of);
	write_levels(metrics, out, "flotilla_consuming", "gauge", "Whether it consumes from the priority's queue.",
		     consuming_of);
	write_levels(metrics, out, "flotilla_deliveries_total", "counter",
		     "Messages that came, jobs and invitations, redeliveries too.", delivered_of);
	exposition_single(out, "flotilla_messages_rejected_total", "counter",
			  "Messages that were parked in PREFIX.rejected with a reason.", pool, (double)c->rejected);
	exposition_single(out, "flotilla_messages_returned_total", "counter",
			  "Messages that the broker had given up on, and that were sent to their queues again.", pool,
			  (double)c->moved);
}

/* --- claims, publishes, connections --- */

static void write_claims(const struct metrics *metrics, struct buf *out)
{
	const struct counts *c = &metrics->worker->counts;
	const char *pool = metrics->worker->options.pool;
	const struct label labels[] = {{"pool", pool}, {0}};

	exposition_single(out, "flotilla_claims_total", "counter", "Claims that Redis granted: attempts begun here.",
			  labels, (double)c->claims[COUNT_CLAIM_TAKEN]);
	exposition_head(out, "flotilla_claims_refused_total", "counter",
			"Claims that Redis refused; not queued is what a second delivery comes to.");
	for (size_t i = COUNT_CLAIM_TAKEN + 1; i < COUNT_CLAIMS; i++) {
		const struct label refused[] = {{"pool", pool}, {"reason", claim_names[i]}, {0}};
		exposition_sample(out, "flotilla_claims_refused_total", refused, (double)c->claims[i]);
	}
}

static void write_publisher(const struct metrics *metrics, struct buf *out)
{
	struct publisher_counts c = {0};

	if (metrics->worker->publisher)
		publisher_count(metrics->worker->publisher, &c);
	exposition_single(out, "flotilla_publishes_total", "counter",
			  "Messages handed over to be published: invitations, replies, what is moved.", NULL,
			  (double)c.published);
	exposition_single(out, "flotilla_publish_confirms_total", "counter", "Of these, confirmed by the broker.", NULL,
			  (double)c.confirmed);
	exposition_single(out, "flotilla_publish_returns_total", "counter",
			  "Of these, come back since no queue took them.", NULL, (double)c.returned);
	exposition_single(out, "flotilla_publishes_pending", "gauge", "Handed over and not confirmed yet.", NULL,
			  (double)c.pending);
}

static bool is_up(const struct worker *w, enum count_connection connection)
{
	switch (connection) {
	case COUNT_CONSUME: return w->intake.broker != NULL;
	case COUNT_PUBLISH: return w->publisher && publisher_up(w->publisher);
	default: return w->store && store_up(w->store);
	}
}

static void write_connections(const struct metrics *metrics, struct buf *out)
{
	const struct worker *w = metrics->worker;
	struct label labels[] = {{"connection", NULL}, {0}};

	exposition_head(out, "flotilla_connection_up", "gauge", "Whether there is a session with the service now.");
	for (size_t i = 0; i < COUNT_CONNECTIONS; i++) {
		labels[0].value = connection_names[i];
		exposition_sample(out, "flotilla_connection_up", labels, is_up(w, (enum count_connection)i));
	}
	exposition_head(out, "flotilla_reconnects_total", "counter", "Sessions made after the first.");
	for (size_t i = 0; i < COUNT_CONNECTIONS; i++) {
		labels[0].value = connection_names[i];
		exposition_sample(out, "flotilla_reconnects_total", labels,
				  w->counts.sessions[i] > 0 ? (double)(w->counts.sessions[i] - 1) : 0);
	}
	exposition_head(out, "flotilla_connection_failures_total", "counter",
			"Sessions that were lost, and tries that did not make one.");
	for (size_t i = 0; i < COUNT_CONNECTIONS; i++) {
		labels[0].value = connection_names[i];
		exposition_sample(out, "flotilla_connection_failures_total", labels, (double)w->counts.losses[i]);
	}
	exposition_single(out, "flotilla_redis_calls_pending", "gauge", "Calls that Redis has not answered yet.", NULL,
			  w->store ? (double)store_pending(w->store) : 0);
	exposition_single(out, "flotilla_redis_full", "gauge", "Whether Redis refuses writes for want of memory.", NULL,
			  w->store && store_full(w->store));
}

/* --- the caretaker --- */

static void write_caretaker(const struct metrics *metrics, struct buf *out)
{
	const struct worker *w = metrics->worker;

	exposition_single(out, "flotilla_caretaker", "gauge", "Whether this worker has the caretaker's role.", NULL,
			  caretaker_has_role(w));
	exposition_head(out, "flotilla_caretaker_work_total", "counter",
			"What the caretaker found due, overdue or left behind, and took in hand.");
	for (size_t i = 0; i < COUNT_CARES; i++) {
		const struct label labels[] = {{"kind", care_names[i]}, {0}};
		exposition_sample(out, "flotilla_caretaker_work_total", labels, (double)w->counts.care[i]);
	}
}

void metrics_write(struct metrics *metrics, struct buf *out)
{
	write_identity(metrics, out);
	write_slots(metrics, out);
	write_intake(metrics, out);
	write_claims(metrics, out);
	metrics_jobs_write(metrics, out);
	write_publisher(metrics, out);
	write_connections(metrics, out);
	write_caretaker(metrics, out);
	metrics_fleet_write(metrics, out);
	metrics_process_write(metrics, out);
}
