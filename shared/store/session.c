/* The session: connect, set up (setup.c), then send what waits. When
 * it is lost, everything that is unanswered waits for the next one. A timer of 100 ms is its only clock: it connects
 * again when that is due, sends what was refused for a while, and ends the session when one of its connections has
 * stopped answering: before a lease of the default length is over that began with its last answer. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/fault.h"
#include "store/internal.h"

#define TICK_MS 100
#define CONNECT_MS 3000
#define SILENCE_MS 4000 /* of a connection with calls unanswered */
#define STOOD_MS 500    /* a tick that is so late was not run: this process stood still, and heard nothing */

static void tell(struct store *store, bool up)
{
	if (!up && store->told_down && !store->refused) /* a refusal is told to who waits for another try */
		return;
	store->told_down = !up;
	if (store->state)
		store->state(store->data, up, up ? NULL : &store->why);
}

void store_link_lost(struct store *store, const char *why)
{
	struct store_link *links[STORE_LINKS];
	bool forgetful;

	memcpy(links, store->links, sizeof links);
	memset(store->links, 0, sizeof store->links);
	forgetful = store->up && !store->durable;
	store->losses += forgetful;
	store->sessions++;
	store->connected = store->up = false;
	if (!store->refused)
		err_set(&store->why, ERR_SERVICE, "%s", why);
	store->next_try = clock_mono_ms() + backoff_ms(100, 2000, store->tries++);
	store_calls_unsend(store);
	for (size_t i = 0; i < STORE_LINKS; i++)
		store_link_free(links[i]);
	if (store->closing)
		return;
	tell(store, false);
	if (forgetful && !store->refused)
		store_calls_fail(store);
}

void store_refuse(struct store *store, const char *why)
{
	store->refused = true;
	err_set(&store->why, ERR_REFUSED, "%s", why);
	store_link_lost(store, why);
}

void store_denied(struct store *store, const char *why)
{
	char text[400];

	snprintf(text, sizeof text,
		 "%.200s; what is asked takes another role than that of its user %.64s (flotilla broker apply --users)",
		 why, store->url.user ? store->url.user : "default");
	store_refuse(store, text);
}

/* The link has let go of it already when its end is told. */
struct store_link *store_present(const struct store *store, const redisAsyncContext *redis)
{
	for (size_t i = 0; i < store->link_count; i++)
		if (store->links[i] && store->links[i] == redis->ev.data)
			return store->links[i];
	return NULL;
}

static void link_ended(struct store *store, const struct store_link *link, const redisAsyncContext *redis)
{
	struct err why;

	/* to a session that was up nothing is for ever */
	if (store_link_why(link, redis, &why) == ERR_REFUSED && !store->up)
		store_refuse(store, why.text);
	else if (!store->up && !store->answered && !link->failing && !store->url.tls && !store->url.path)
		store_link_lost(store, "it ended the connection without an answer; if it speaks TLS there, write "
				       "rediss:// (--redis, FLOTILLA_REDIS_URL)");
	else
		store_link_lost(store, why.text);
}

static void on_lost(const redisAsyncContext *redis, int status)
{
	struct store *store = redis->data;

	struct store_link *link = store_present(store, redis);

	(void)status;
	if (link)
		link_ended(store, link, redis);
}

static void ready(struct store *store)
{
	if (FAULT(REDIS_CONNECTED)) {
		store_link_lost(store, "a fault");
		return;
	}
	store->up = true;
	store->has_to_write = false;
	store->tries = 0;
	store->up_since = clock_mono_ms();
	store->alive_at = 0;
	tell(store, true);
	store_calls_soon(store); /* not now: a write that fails would free the connection whose answer this is */
}

void store_setup_step(struct store *store)
{
	if (store->connected && --store->setup_left == 0)
		ready(store);
}

static void on_connected(const redisAsyncContext *redis, int status)
{
	struct store *store = redis->data;
	struct store_link *link = store_present(store, redis);

	if (!link)
		return;
	if (status != REDIS_OK) {
		link_ended(store, link, redis);
		return;
	}
	store_set_up(store, link);
	store_setup_step(store);
}

static void connect_now(struct store *store)
{
	struct err err;

	store->connecting_since = clock_mono_ms();
	store->connected = true;
	store->answered = false;
	store->setup_left = store->link_count;
	for (size_t i = 0; i < store->link_count; i++) {
		store->links[i] =
			store_link_open(store->loop, &store->url, store->tls, on_connected, on_lost, store, &err);
		if (!store->links[i]) {
			store_link_lost(store, err.text);
			return;
		}
	}
}

static bool silent(const struct store *store, int64_t now)
{
	int64_t late = now - store->ticked - TICK_MS;

	for (size_t i = 0; i < store->link_count; i++) {
		struct store_link *link = store->links[i];
		if (late > STOOD_MS)
			link->last_reply += late;
		if (link->unanswered > 0 && now - link->last_reply > SILENCE_MS)
			return true;
	}
	return false;
}

static void on_tick(uv_timer_t *timer)
{
	struct store *store = timer->data;
	int64_t now = clock_mono_ms();

	if (!store->connected) {
		if (now >= store->next_try && !store->refused)
			connect_now(store);
	} else if (!store->up) {
		if (now - store->connecting_since > CONNECT_MS)
			store_link_lost(store, "no answer while connecting");
	} else if (silent(store, now)) {
		store_link_lost(store, "it has stopped answering");
	} else {
		store_calls_send(store);
	}
	store->ticked = now;
}

int store_open(uv_loop_t *loop, const struct store_options *options, struct store **ret, struct err *err)
{
	struct store *store = xcalloc(1, sizeof *store);

	store->loop = loop;
	store->link_count = options->links == 0 ? 1 : options->links < STORE_LINKS ? options->links : STORE_LINKS;
	store->tls = options->tls;
	if (store_options_check(options, err) < 0 || store_url_parse(options->url, &store->url, err) < 0 ||
	    store_scripts_init(store, err) < 0) {
		store_url_release(&store->url);
		free(store);
		return err->code;
	}
	store->prefix = xstrdup(options->prefix);
	store->shown = store_url_shown(options->url);
	store->name = options->name ? xstrdup(options->name) : NULL;
	store->state = options->state;
	store->data = options->data;
	store_key(&store->events, store->prefix, KEY_EVENTS, NULL, NULL);
	store->timer = xmalloc(sizeof *store->timer);
	uv_timer_init(loop, store->timer);
	store->timer->data = store;
	uv_timer_start(store->timer, on_tick, 0, TICK_MS);
	store->soon = xmalloc(sizeof *store->soon);
	uv_idle_init(loop, store->soon);
	store->soon->data = store;
	*ret = store;
	return 0;
}

static void free_handle(uv_handle_t *handle) { free(handle); }

void store_close(struct store *store)
{
	if (!store)
		return;
	store->closing = true;
	store_link_lost(store, "closed");
	store_calls_drop(store);
	store_batches_release(store);
	uv_close((uv_handle_t *)store->timer, free_handle);
	uv_close((uv_handle_t *)store->soon, free_handle);
	store_url_release(&store->url);
	buf_release(&store->scratch);
	buf_release(&store->out);
	buf_release(&store->events);
	free(store->prefix);
	free(store->shown);
	free(store->name);
	free(store);
}

bool store_up(const struct store *store) { return store->up; }
bool store_durable(const struct store *store) { return store->durable; }
uint64_t store_losses(const struct store *store) { return store->losses; }

void store_cursor_begin(const struct store *store, struct store_cursor *cursor)
{
	*cursor = (struct store_cursor){"0", store->sessions};
}

bool store_cursor_move(const struct store *store, struct store_cursor *cursor, const char *next)
{
	if (cursor->sessions != store->sessions) {
		bool whole = strcmp(cursor->at, "0") == 0 && strcmp(next, "0") == 0;
		store_cursor_begin(store, cursor);
		return !whole; /* one answer is of one Redis */
	}
	snprintf(cursor->at, sizeof cursor->at, "%s", next);
	return strcmp(next, "0") != 0 && next[0];
}

bool store_full(const struct store *store) { return store->full; }
int64_t store_alive_at(const struct store *store) { return store->up ? store->alive_at : 0; }
size_t store_pending(const struct store *store) { return store->pending; }
const char *store_prefix(const struct store *store) { return store->prefix; }
uv_loop_t *store_loop(const struct store *store) { return store->loop; }

int64_t store_session_ms(const struct store *store) { return store->up ? clock_mono_ms() - store->up_since : 0; }
