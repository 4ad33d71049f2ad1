/* The loop, wired: every source of events of the process stands in worker_run.
 *
 *   deliveries      intake.c reads the broker's socket
 *   answers         store: Redis' socket; publisher: its thread, by an async handle
 *   children        exec/: pipes, exits
 *   timers          100 ms: intake, acks, long jobs; lease / 3: renewals; 250 ms: presence; 100 ms: caretaker
 *   end of a turn   what became possible is started, what is finished is acknowledged, in one go
 */
#include "worker.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "flotilla/version.h"

#define TICK_MS 100

void worker_fail(struct worker *worker, int exit_code)
{
	if (worker->finished)
		return;
	worker->exit_code = exit_code;
	worker->finished = true;
	uv_stop(worker->loop);
}

/* --- the turn --- */

static void on_idle(uv_idle_t *idle) { (void)idle; }

/* Before the loop waits: start what can start, acknowledge what is done. Frames that the library has read already would
 * not wake the loop: then it does not wait. */
static void on_prepare(uv_prepare_t *prepare)
{
	struct worker *worker = prepare->data;

	if (worker->dirty)
		schedule_run(worker);
	acks_flush(worker, false);
	if (worker->intake.more && worker->intake.broker)
		intake_read_more(worker);
	if (worker->dirty)
		schedule_run(worker);
	acks_flush(worker, false);
	if ((worker->intake.more && worker->intake.broker) || worker->dirty)
		uv_idle_start(&worker->idle, on_idle);
	else
		uv_idle_stop(&worker->idle);
}

/* A service that is away for too long ends the worker: somebody will start it where they are. */
static bool away_too_long(const struct worker *worker, int64_t since)
{
	return since && clock_mono_ms() - since > worker->options.retry_services_ms;
}

static void check_services(struct worker *worker)
{
	CLEANUP(freep) char *where = NULL;
	bool redis = away_too_long(worker, worker->store_down_since);

	/* a worker that is stopping does not connect to consume any more */
	if (worker->finished || (!redis && (worker->draining || !away_too_long(worker, worker->intake.down_since)) &&
				 !away_too_long(worker, worker->publisher_down_since)))
		return;
	where = redis ? store_url_shown(worker->options.redis_url) : broker_url_shown(worker->options.amqp_url);
	log_error("%s at %s has been away for %" PRId64 " s: giving up (--retry-services)",
		  redis ? "Redis" : "RabbitMQ", where, worker->options.retry_services_ms / 1000);
	worker_fail(worker, 3);
}

static void on_tick(uv_timer_t *timer)
{
	struct worker *worker = timer->data;

	if (worker->named) {
		intake_tick(worker);
		watch_tick(worker);
	}
	acks_tick(worker);
	acks_flush(worker, true);
	attempt_tick(worker);
	signed_tick(worker);
	ahead_tick(worker);
	schedule_tick(worker);
	presence_tick(worker);
	fleet_tick(worker->fleet);
	check_services(worker);
	worker->dirty = true;
	health_tick(worker);
	if (worker->draining)
		drain_look(worker);
}

static void on_lease_timer(uv_timer_t *timer) { attempt_renew_all(timer->data); }

static void on_signal(uv_signal_t *handle, int signal) { drain_begin(handle->data, signal); }

/* --- what others tell --- */

/* Whoever forgets keys for want of memory loses jobs. CONFIG may be forbidden: then nothing is said. */
static void on_policy(void *data, const struct store_reply *reply)
{
	const char *policy = store_text_at(reply, 1);

	(void)data;
	if (policy[0] && strcmp(policy, "noeviction") != 0)
		log_warn("Redis has maxmemory-policy %s: it may throw jobs away when it is full; set it to noeviction",
			 policy);
}

/* A Redis that does not sync each write may come back without its last second. What is unacknowledged is fetched again,
 * by a new session with the broker: also what runs, since its claim may be among what was forgotten. */
static void fetch_again(struct worker *worker)
{
	struct err err;

	if (store_durable(worker->store) || (!worker->intake.late && worker->items == 0))
		return;
	acks_forget_late(worker);
	err_set(&err, ERR_SERVICE,
		"Redis was lost, and may forget its last second: fetching again what is unacknowledged");
	if (worker->intake.broker)
		intake_lost(worker, &err);
}

static void on_store_state(void *data, bool up, const struct err *err)
{
	struct worker *worker = data;
	CLEANUP(freep) char *where = NULL;

	if (up) {
		log_info("Redis is there%s",
			 store_durable(worker->store)
				 ? ""
				 : " (appendfsync is not always: acknowledgements wait two seconds)");
		worker->counts.sessions[COUNT_REDIS]++;
		worker->store_down_since = 0;
		worker->dirty = true;
		store_format(worker->store, on_policy, NULL, "CONFIG GET maxmemory-policy");
		return;
	}
	worker->counts.losses[COUNT_REDIS]++;
	if (!worker->store_down_since)
		worker->store_down_since = clock_mono_ms();
	fetch_again(worker);
	where = store_url_shown(worker->options.redis_url);
	if (err->code == ERR_REFUSED) {
		log_error("Redis at %s refuses: %s", where, err->text);
		worker_fail(worker, 2);
		return;
	}
	log_warn("Redis at %s: %s; trying again", where, err->text);
}

static void on_publisher_state(void *data, bool up, const struct err *err)
{
	struct worker *worker = data;
	struct counts *counts = &worker->counts;

	(*(up ? &counts->sessions : &counts->losses))[COUNT_PUBLISH]++;
	if (up)
		worker->publisher_down_since = 0;
	else if (!worker->publisher_down_since)
		worker->publisher_down_since = clock_mono_ms();
	if (err && (err->code == ERR_REFUSED || err->code == ERR_USAGE)) {
		log_error("RabbitMQ refuses: %s", err->text);
		worker_fail(worker, 2);
	}
}

static void on_heard(void *data, const char *text)
{
	static const char cancel[] = "cancel\x1f", again[] = WATCH_AGAIN;
	struct worker *worker = data;

	if (text && strncmp(text, cancel, sizeof cancel - 1) == 0)
		attempt_cancel(worker, text + sizeof cancel - 1);
	else if (text && strncmp(text, again, sizeof again - 1) == 0 &&
		 strcmp(text + sizeof again - 1, worker->options.pool) == 0)
		intake_again(worker, "another worker found a queue of the pool deleted");
}

/* --- start and end --- */

static int split_priorities(struct worker *worker, struct err *err)
{
	char *at = worker->options.priorities, *name;

	while ((name = strsep(&at, ",")) != NULL) {
		if (!job_pool_valid(name, strlen(name)))
			return err_set(err, ERR_USAGE, "priorities: \"%s\" is no name of a priority", name);
		if (worker->level_count == WORKER_LEVELS)
			return err_set(err, ERR_USAGE, "priorities: more than %d", WORKER_LEVELS);
		worker->levels[worker->level_count].name = name;
		worker->priority_names[worker->level_count++] = name;
	}
	worker->limits = job_limits_default;
	worker->limits.priorities = worker->priority_names;
	worker->limits.priority_count = worker->level_count;
	worker->limits.max_body = (size_t)worker->options.max_body;
	worker->limits.prefix = worker->options.prefix;
	return 0;
}

static int open_executor(struct worker *worker, struct err *err)
{
	const struct worker_options *o = &worker->options;
	const struct exec_options options = {.handlers_file = o->handlers,
					     .work_dir = o->work_dir,
					     .pool = o->pool,
					     .allow_exec = o->allow_exec,
					     .job_user = o->job_user,
					     .replay_dir = o->replay_dir,
					     .max_timeout_ms = o->max_timeout_ms,
					     .keep_dirs_ms = o->keep_dirs_ms,
					     .keep_failed_dirs_ms = o->keep_dirs_ms * 7,
					     .amqp_url = o->amqp_url,
					     .redis_url = o->redis_url,
					     .prefix = o->prefix,
					     .tls = &o->tls,
					     .worker_key = worker->undertaker.key};
	struct buf tasks = BUF_INIT;

	if (executor_open(worker->loop, &options, &worker->executor, err) < 0)
		return err->code;
	buf_addf(&tasks, ",%s,", executor_tasks(worker->executor));
	worker->tasks = buf_detach(&tasks);
	return 0;
}

static int open_services(struct worker *worker, struct err *err)
{
	const struct worker_options *o = &worker->options;
	const struct store_options store = {o->redis_url, o->prefix, o->name, on_store_state, worker, &o->tls, 8};
	const struct publisher_options publisher = {
		.broker = {.url = o->amqp_url, .name = o->name, .heartbeat_s = intake_heartbeat_s(o), .tls = &o->tls},
		.prefix = o->prefix,
		.state = on_publisher_state,
		.data = worker};

	if (broker_options_check(&publisher.broker, err) < 0 ||
	    store_open(worker->loop, &store, &worker->store, err) < 0)
		return err->code;
	worker->store_down_since = worker->publisher_down_since = clock_mono_ms();
	if (publisher_open(worker->loop, &publisher, &worker->publisher, err) < 0)
		return err->code;
	const struct fleet_options fleet = {worker->store, worker->publisher, &worker->limits, claim_taker(worker)};
	worker->fleet = fleet_new(&fleet);
	return 0;
}

static void timer_start(struct worker *worker, uv_timer_t *timer, uv_timer_cb callback, int64_t every_ms)
{
	uv_timer_init(worker->loop, timer);
	timer->data = worker;
	if (every_ms)
		uv_timer_start(timer, callback, (uint64_t)every_ms, (uint64_t)every_ms);
}

static void wire(struct worker *worker)
{
	uv_prepare_init(worker->loop, &worker->prepare);
	worker->prepare.data = worker;
	uv_prepare_start(&worker->prepare, on_prepare);
	uv_idle_init(worker->loop, &worker->idle);
	timer_start(worker, &worker->tick, on_tick, TICK_MS);
	timer_start(worker, &worker->lease_timer, on_lease_timer, worker->options.lease_ms / 3);
	timer_start(worker, &worker->grace_timer, NULL, 0);
	uv_signal_init(worker->loop, &worker->sigterm);
	uv_signal_init(worker->loop, &worker->sigint);
	worker->sigterm.data = worker->sigint.data = worker;
	uv_signal_start(&worker->sigterm, on_signal, SIGTERM);
	uv_signal_start(&worker->sigint, on_signal, SIGINT);
	worker->listener = store_listen(worker->store, worker->options.name, on_heard, worker);
	presence_start(worker);
}

void worker_begin(struct worker *worker)
{
	if (worker->draining)
		return;
	intake_start(worker);
	caretaker_start(worker);
}

static void close_handle(uv_handle_t *handle, void *data)
{
	(void)data;
	if (!uv_is_closing(handle) && (handle->type == UV_TIMER || handle->type == UV_SIGNAL ||
				       handle->type == UV_PREPARE || handle->type == UV_IDLE))
		uv_close(handle, NULL);
}

/* From here on nothing of the worker's own happens in the loop, which still runs for what is being closed. */
static void unwire(struct worker *worker)
{
	if (!worker->tick.data)
		return; /* it never came to wire() */
	uv_prepare_stop(&worker->prepare);
	uv_idle_stop(&worker->idle);
	uv_timer_stop(&worker->tick);
	uv_timer_stop(&worker->lease_timer);
	uv_timer_stop(&worker->grace_timer);
	uv_timer_stop(&worker->presence_timer);
}

static void shut(struct worker *worker)
{
	caretaker_stop(worker);
	metrics_close(worker);
	unwire(worker);
	worker->draining = true;
	if (worker->executor)
		executor_close(worker->executor);
	intake_close(worker);
	if (worker->publisher)
		publisher_close(worker->publisher, 2000);
	store_unlisten(worker->listener);
	store_close(worker->store);
	fleet_free(worker->fleet);
	while (worker->intake.connecting || worker->intake.rescuing)
		uv_run(worker->loop, UV_RUN_ONCE);
	free(worker->tasks);
	free(worker->crowded);
	worker->keyring = keyring_free(worker->keyring);
}

int worker_run(const struct worker_options *options)
{
	struct worker *worker = xcalloc(1, sizeof *worker);
	uv_loop_t loop;
	struct err err;
	int exit_code;

	worker->options = *options;
	snprintf(worker->lease_text, sizeof worker->lease_text, "%" PRId64, options->lease_ms);
	snprintf(worker->version, sizeof worker->version, "%s", FLOTILLA_VERSION);
	signal(SIGPIPE, SIG_IGN);
	health_open(worker);
	undertaker_start(&worker->undertaker); /* before there are threads */
	uv_loop_init(&loop);
	worker->loop = &loop;
	if (split_priorities(worker, &err) < 0 || signed_open(worker, &err) < 0 || metrics_open(worker, &err) < 0 ||
	    open_executor(worker, &err) < 0 || open_services(worker, &err) < 0) {
		log_error("%s", err.text);
		worker->exit_code = err_exit_code(err.code);
	} else {
		wire(worker);
		metrics_start(worker);
		log_info("flotillad %s: pool %s, %" PRId64 " slots, name %s", FLOTILLA_VERSION, options->pool,
			 options->slots, options->name);
		uv_run(&loop, UV_RUN_DEFAULT);
	}
	shut(worker);
	uv_walk(&loop, close_handle, NULL);
	for (int i = 0; i < 100 && uv_loop_alive(&loop); i++)
		uv_run(&loop, UV_RUN_NOWAIT);
	uv_loop_close(&loop);
	health_close(worker);
	exit_code = worker->exit_code;
	free(worker);
	return exit_code;
}
