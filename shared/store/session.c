/* The session: connect, log in, check the schema, load the scripts, then send what waits. When
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
#define SCHEMA "1"

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

static void refuse(struct store *store, const char *why)
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
	refuse(store, text);
}

/* Whether a connection is of the present session. The link has let go of it already when its end is told. */
static struct store_link *present(const struct store *store, const redisAsyncContext *redis)
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
		refuse(store, why.text);
	else if (!store->up && !store->answered && !link->failing && !store->url.tls && !store->url.path)
		store_link_lost(store, "it ended the connection without an answer; if it speaks TLS there, write "
				       "rediss:// (--redis, FLOTILLA_REDIS_URL)");
	else
		store_link_lost(store, why.text);
}

static void on_lost(const redisAsyncContext *redis, int status)
{
	struct store *store = redis->data;

	struct store_link *link = present(store, redis);

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

static bool setup_failed(struct store *store, const redisReply *reply)
{
	if (!reply)
		return true;
	store->answered = true;
	if (reply->type != REDIS_REPLY_ERROR)
		return false;
	if (strncmp(reply->str, "WRONGPASS", 9) == 0 || strncmp(reply->str, "NOAUTH", 6) == 0 ||
	    strncmp(reply->str, "ERR AUTH", 8) == 0 || strncmp(reply->str, "ERR Client sent AUTH", 20) == 0 ||
	    strstr(reply->str, "DB index"))
		refuse(store, reply->str);
	else if (strncmp(reply->str, "NOPERM", 6) == 0)
		store_denied(store, reply->str);
	else
		store_link_lost(store, reply->str);
	return true;
}

static void step(struct store *store)
{
	if (store->connected && --store->setup_left == 0)
		ready(store);
}

static void on_setup(redisAsyncContext *redis, void *raw, void *data)
{
	struct store *store = data;

	if (present(store, redis) && !setup_failed(store, raw))
		step(store);
}

static bool setting_is(const redisReply *reply, const char *name, const char *value)
{
	for (size_t i = 0; reply->type == REDIS_REPLY_ARRAY && i + 1 < reply->elements; i += 2)
		if (strcmp(reply->element[i]->str, name) == 0)
			return strcmp(reply->element[i + 1]->str, value) == 0;
	return false;
}

/* CONFIG may be forbidden: then the slower way of acknowledging is taken. */
static void on_appendfsync(redisAsyncContext *redis, void *raw, void *data)
{
	struct store *store = data;
	const redisReply *reply = raw;

	if (!present(store, redis) || !reply)
		return;
	store->durable = setting_is(reply, "appendonly", "yes") && setting_is(reply, "appendfsync", "always");
	step(store);
}

/* Only where there is none: a Redis that is full refuses writes, and a worker has to get in to settle. Whoever writes
 * it a moment earlier may be another version; that one's next reader finds out. */
static void write_schema(struct store *store) { store_format(store, NULL, NULL, "SETNX %k " SCHEMA, KEY_SCHEMA, ""); }

static void on_schema(redisAsyncContext *redis, void *raw, void *data)
{
	struct store *store = data;
	const redisReply *reply = raw;
	char why[200];

	if (!present(store, redis) || setup_failed(store, raw))
		return;
	if (reply->type == REDIS_REPLY_STRING && strcmp(reply->str, SCHEMA) != 0) {
		snprintf(why, sizeof why,
			 "its data under the prefix \"%s\" has schema %.20s, this program works with " SCHEMA
			 ": use another prefix or another version",
			 store->prefix, reply->str);
		refuse(store, why);
		return;
	}
	if (reply->type == REDIS_REPLY_NIL)
		write_schema(store);
	step(store);
}

/* Who only looks has no right to scripts, and needs none: the answer to the first that is run says so all the same. */
static void on_loaded(redisAsyncContext *redis, void *raw, void *data)
{
	static const char none[] = "0000000000000000000000000000000000000000";
	struct store *store = redis->data;
	struct store_script_info *info = data;
	const redisReply *reply = raw;
	bool denied = reply && reply->type == REDIS_REPLY_ERROR && strncmp(reply->str, "NOPERM", 6) == 0;

	if (!present(store, redis) || (!denied && setup_failed(store, raw)))
		return;
	store->scriptless = store->scriptless || denied;
	snprintf(info->sha, sizeof info->sha, "%s", denied ? none : reply->str);
	step(store);
}

static void ask(struct store *store, struct store_link *link, redisCallbackFn *done, void *data,
		const struct store_arg *args, size_t count)
{
	buf_reset(&store->out);
	store_encode(&store->out, args, count);
	store->setup_left++;
	redisAsyncFormattedCommand(link->redis, done, data, store->out.data, store->out.len);
}

#define ASK(store, link, done, data, ...)                                                                              \
	do {                                                                                                           \
		const struct store_arg args_[] = {__VA_ARGS__};                                                        \
		ask(store, link, done, data, args_, sizeof args_ / sizeof *args_);                                     \
	} while (0)

static void log_in(struct store *store, struct store_link *link)
{
	const struct store_url *url = &store->url;
	char db[16];

	if (url->password && url->user)
		ASK(store, link, on_setup, store, STORE_TEXT("AUTH"), STORE_TEXT(url->user), STORE_TEXT(url->password));
	else if (url->password)
		ASK(store, link, on_setup, store, STORE_TEXT("AUTH"), STORE_TEXT(url->password));
	if (url->db) {
		snprintf(db, sizeof db, "%d", url->db);
		ASK(store, link, on_setup, store, STORE_TEXT("SELECT"), STORE_TEXT(db));
	}
	if (store->name)
		ASK(store, link, on_setup, store, STORE_TEXT("CLIENT"), STORE_TEXT("SETNAME"), STORE_TEXT(store->name));
	else
		ASK(store, link, on_setup, store, STORE_TEXT("PING"));
}

/* What is needed once, whatever the number of connections. */
static void set_up(struct store *store, struct store_link *link)
{
	struct buf key = BUF_INIT;

	ASK(store, link, on_appendfsync, store, STORE_TEXT("CONFIG"), STORE_TEXT("GET"), STORE_TEXT("append*"));
	store_key(&key, store->prefix, KEY_SCHEMA, NULL, NULL);
	ASK(store, link, on_schema, store, STORE_TEXT("GET"), STORE_TEXT(key.data));
	/* it changes nothing, and is refused where writes are (but not for want of memory) */
	if (store->has_to_write)
		ASK(store, link, on_setup, store, STORE_TEXT("PERSIST"), STORE_TEXT(key.data));
	buf_release(&key);
	for (size_t i = 0; i < store->script_count; i++) {
		const struct lua_script *script = store->scripts[i].script;
		ASK(store, link, on_loaded, &store->scripts[i], STORE_TEXT("SCRIPT"), STORE_TEXT("LOAD"),
		    STORE_BYTES(script->text, script->len));
	}
}

static void on_connected(const redisAsyncContext *redis, int status)
{
	struct store *store = redis->data;
	struct store_link *link = present(store, redis);

	if (!link)
		return;
	if (status != REDIS_OK) {
		link_ended(store, link, redis);
		return;
	}
	log_in(store, link);
	if (link == store->links[0])
		set_up(store, link);
	step(store);
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
