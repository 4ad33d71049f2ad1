#include "session.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"

#define TICK_MS 100
#define PUBLISH_WINDOW 1000

static void on_tick(uv_timer_t *timer) { (void)timer; }

static void on_store(void *data, bool up, const struct err *err)
{
	struct session *session = data;

	if (up)
		session->store_down = 0;
	else if (!session->store_down)
		session->store_down = clock_mono_ms();
	if (err)
		session->store_why = *err;
}

static void on_broker(void *data, bool up, const struct err *err)
{
	struct session *session = data;

	if (up)
		session->broker_down = 0;
	else if (!session->broker_down)
		session->broker_down = clock_mono_ms();
	if (err)
		session->broker_why = *err;
}

/* --- who is away --- */

static bool gave_up(const struct session *session, int64_t since, const struct err *why)
{
	return since && (why->code == ERR_REFUSED || clock_mono_ms() - since >= session->patience_ms);
}

static int redis_full(const struct session *session, struct err *err)
{
	CLEANUP(freep) char *url = store_url_shown(session->app->services.redis_url);

	return err_set(err, ERR_SERVICE,
		       "Redis at %s is full and takes nothing new; free memory there, or raise its maxmemory", url);
}

static int redis_away(const struct session *session, struct err *err)
{
	const char *why = session->store_why.text[0] ? session->store_why.text : "no answer";
	CLEANUP(freep) char *url = store_url_shown(session->app->services.redis_url);

	if (strncmp(why, "OOM", 3) == 0)
		return redis_full(session, err);
	if (session->store_why.code == ERR_REFUSED)
		return err_set(err, ERR_REFUSED, "Redis at %s refuses: %s", url, why);
	return err_set(err, ERR_SERVICE,
		       "Redis at %s cannot be reached: %s; is it running? set --redis or FLOTILLA_REDIS_URL", url, why);
}

static int broker_away(const struct session *session, struct err *err)
{
	const char *why = session->broker_why.text[0] ? session->broker_why.text : "no answer";
	CLEANUP(freep) char *url = broker_url_shown(session->app->services.amqp_url);

	if (session->broker_why.code == ERR_REFUSED && strncmp(why, "RabbitMQ", 8) == 0)
		return err_set(err, ERR_REFUSED, "%s", why);
	if (session->broker_why.code == ERR_REFUSED)
		return err_set(err, ERR_REFUSED, "RabbitMQ at %s refuses: %s", url, why);
	if (strstr(why, "--amqp")) /* it says all there is to say */
		return err_set(err, ERR_SERVICE, "%s", why);
	if (strncmp(why, "RabbitMQ", 8) == 0) /* it names itself */
		return err_set(err, ERR_SERVICE, "%s; is it running? set --amqp or FLOTILLA_AMQP_URL", why);
	return err_set(err, ERR_SERVICE,
		       "RabbitMQ at %s cannot be reached: %s; is it running? set --amqp or FLOTILLA_AMQP_URL", url,
		       why);
}

static int look_around(struct session *session, struct err *err)
{
	bool publishing = session->publisher && publisher_pending(session->publisher) > 0;

	if (!session->store || !store_full(session->store))
		session->store_filled = 0;
	else if (!session->store_filled)
		session->store_filled = clock_mono_ms();
	if (session->store_filled && clock_mono_ms() - session->store_filled >= session->patience_ms)
		return redis_full(session, err);
	if (gave_up(session, session->store_down, &session->store_why))
		return redis_away(session, err);
	if (publishing && gave_up(session, session->broker_down, &session->broker_why))
		return broker_away(session, err);
	return 0;
}

int session_run(struct session *session, bool (*until)(void *data), void *data, int64_t timeout_ms, struct err *err)
{
	int64_t end = clock_mono_ms() + timeout_ms;

	while (!until(data)) {
		if (timeout_ms >= 0 && clock_mono_ms() >= end)
			return err_set(err, ERR_TIMEOUT, "timed out");
		if (look_around(session, err) < 0)
			return err->code;
		uv_run(&session->loop, UV_RUN_ONCE);
	}
	return 0;
}

/* --- open, close --- */

static bool is_up(void *data) { return store_up(((struct session *)data)->store); }

static void begin(struct session *session, const struct app *app)
{
	memset(session, 0, sizeof *session);
	session->app = app;
	session->patience_ms = SESSION_OPEN_MS;
	session->limits = app->limits;
	uv_loop_init(&session->loop);
	uv_timer_init(&session->loop, &session->tick);
	uv_timer_start(&session->tick, on_tick, TICK_MS, TICK_MS);
	session->loop.data = session; /* it is initialised */
}

int session_open(struct session *session, const struct app *app, struct err *err)
{
	struct store_options options = {.url = app->services.redis_url,
					.tls = &app->services.tls,
					.prefix = app->services.prefix,
					.name = "flotilla",
					.state = on_store,
					.data = session};

	begin(session, app);
	session->store_down = clock_mono_ms();
	if (store_open(&session->loop, &options, &session->store, err) < 0)
		return err->code;
	return session_run(session, is_up, session, -1, err);
}

static int open_publisher(struct session *session, struct err *err)
{
	const struct config_services *services = &session->app->services;
	struct publisher_options options = {
		.broker = {.url = services->amqp_url, .name = "flotilla", .timeout_ms = 5000, .tls = &services->tls},
		.prefix = services->prefix,
		.window = PUBLISH_WINDOW,
		.state = on_broker,
		.data = session};

	session->broker_down = clock_mono_ms();
	return publisher_open(&session->loop, &options, &session->publisher, err);
}

int session_open_fleet(struct session *session, struct err *err)
{
	struct fleet_options fleet = {.store = session->store, .limits = &session->limits};

	if (open_publisher(session, err) < 0)
		return err->code;
	fleet.publisher = session->publisher;
	session->fleet = fleet_new(&fleet);
	return 0;
}

int session_open_broker(struct session *session, const struct app *app, struct err *err)
{
	begin(session, app);
	return open_publisher(session, err);
}

void session_close(struct session *session)
{
	if (!session->loop.data)
		return;
	if (session->fleet && fleet_busy(session->fleet) > 0 && session->app->abandoned)
		*session->app->abandoned = true;
	if (session->publisher)
		publisher_close(session->publisher, 0);
	store_close(session->store);
	uv_close((uv_handle_t *)&session->tick, NULL);
	uv_run(&session->loop, UV_RUN_DEFAULT);
	fleet_free(session->fleet);
	uv_loop_close(&session->loop);
	memset(session, 0, sizeof *session);
}

static bool all_ended(void *data)
{
	struct session *session = data;
	return store_pending(session->store) == 0 && (!session->fleet || fleet_busy(session->fleet) == 0);
}

int session_finish(struct session *session, struct err *err)
{
	return session_run(session, all_ended, session, -1, err);
}

/* --- single answers --- */

static struct store_reply *checked(struct session *session, struct store_reply *reply, struct err *err)
{
	const char *error = store_reply_error(reply);

	if (!reply) {
		redis_away(session, err);
	} else if (error) {
		err_set(err, ERR_INPUT, "Redis says: %s", error);
		store_reply_free(reply);
		reply = NULL;
	}
	return reply;
}

struct store_reply *session_ask(struct session *session, const char *command, enum store_key key, const char *id,
				struct err *err)
{
	return checked(session, store_sync(session->store, SESSION_ANSWER_MS, err, "%s %k", command, key, id), err);
}

int session_now(struct session *session, int64_t *ret_ms, struct err *err)
{
	CLEANUP(store_reply_freep)
	struct store_reply *reply = checked(session, store_sync(session->store, SESSION_ANSWER_MS, err, "TIME"), err);

	if (!reply)
		return err->code;
	*ret_ms = store_int_at(reply, 0) * 1000 + store_int_at(reply, 1) / 1000;
	return 0;
}

struct store_reply *session_record(struct session *session, const char *id, struct err *err)
{
	struct store_reply *reply = session_ask(session, "HGETALL", KEY_JOB, id, err);

	if (reply && store_reply_count(reply) == 0) {
		err_set(err, ERR_NOT_FOUND, "nobody knows a job %s: check the id and --prefix, or it is kept no more",
			id);
		store_reply_free(reply);
		return NULL;
	}
	return reply;
}
