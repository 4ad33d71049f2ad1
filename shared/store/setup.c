/* How a session begins: on each of its connections it logs in; on one it asks how Redis keeps its log, checks the
 * schema and loads the scripts. */
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "store/internal.h"

#define SCHEMA "1"

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
		store_refuse(store, reply->str);
	else if (strncmp(reply->str, "NOPERM", 6) == 0)
		store_denied(store, reply->str);
	else
		store_link_lost(store, reply->str);
	return true;
}

static void on_setup(redisAsyncContext *redis, void *raw, void *data)
{
	struct store *store = data;

	if (store_present(store, redis) && !setup_failed(store, raw))
		store_setup_step(store);
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

	if (!store_present(store, redis) || !reply)
		return;
	store->durable = setting_is(reply, "appendonly", "yes") && setting_is(reply, "appendfsync", "always");
	store_setup_step(store);
}

/* Only where there is none: a Redis that is full refuses writes, and a worker has to get in to settle. Whoever writes
 * it a moment earlier may be another version; that one's next reader finds out. */
static void write_schema(struct store *store) { store_format(store, NULL, NULL, "SETNX %k " SCHEMA, KEY_SCHEMA, ""); }

static void on_schema(redisAsyncContext *redis, void *raw, void *data)
{
	struct store *store = data;
	const redisReply *reply = raw;
	char why[200];

	if (!store_present(store, redis) || setup_failed(store, raw))
		return;
	if (reply->type == REDIS_REPLY_STRING && strcmp(reply->str, SCHEMA) != 0) {
		snprintf(why, sizeof why,
			 "its data under the prefix \"%s\" has schema %.20s, this program works with " SCHEMA
			 ": use another prefix or another version",
			 store->prefix, reply->str);
		store_refuse(store, why);
		return;
	}
	if (reply->type == REDIS_REPLY_NIL)
		write_schema(store);
	store_setup_step(store);
}

/* Who only looks has no right to scripts, and needs none: the answer to the first that is run says so all the same. */
static void on_loaded(redisAsyncContext *redis, void *raw, void *data)
{
	static const char none[] = "0000000000000000000000000000000000000000";
	struct store *store = redis->data;
	struct store_script_info *info = data;
	const redisReply *reply = raw;
	bool denied = reply && reply->type == REDIS_REPLY_ERROR && strncmp(reply->str, "NOPERM", 6) == 0;

	if (!store_present(store, redis) || (!denied && setup_failed(store, raw)))
		return;
	store->scriptless = store->scriptless || denied;
	snprintf(info->sha, sizeof info->sha, "%s", denied ? none : reply->str);
	store_setup_step(store);
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
static void set_up_once(struct store *store, struct store_link *link)
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

void store_set_up(struct store *store, struct store_link *link)
{
	log_in(store, link);
	if (link == store->links[0])
		set_up_once(store, link);
}
