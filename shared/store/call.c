/* Calls: made, encoded, sent in order, answered, sent again. A call is one allocation: the struct, its arguments, their
 * bytes. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <utlist.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/fault.h"
#include "store/internal.h"

#define RETRY_MS 200

static void add_bulk(struct buf *ret, const char *bytes, size_t len)
{
	char head[32];
	int n = snprintf(head, sizeof head, "$%zu\r\n", len);

	buf_grow(ret, len + 40);
	buf_add(ret, head, (size_t)n);
	buf_add(ret, bytes, len);
	buf_add(ret, "\r\n", 2);
}

void store_encode(struct buf *ret, const struct store_arg *args, size_t count)
{
	buf_addf(ret, "*%zu\r\n", count);
	for (size_t i = 0; i < count; i++)
		add_bulk(ret, args[i].at, args[i].len);
}

static void encode_script(struct store_call *call, struct buf *ret)
{
	struct store *store = call->store;
	const struct store_script_info *info = call->script;
	char number[24];
	int n = snprintf(number, sizeof number, "%zu", info->key_count);

	buf_addf(ret, "*%zu\r\n", 3 + info->key_count + 3 + call->count);
	add_bulk(ret, "EVALSHA", 7);
	add_bulk(ret, info->sha, strlen(info->sha));
	add_bulk(ret, number, (size_t)n);
	for (size_t i = 0; i < info->key_count; i++) {
		buf_reset(&store->scratch);
		store_key(&store->scratch, store->prefix, (enum store_key)info->keys[i], call->id, call->run);
		add_bulk(ret, store->scratch.data, store->scratch.len);
	}
	add_bulk(ret, call->id, strlen(call->id));
	add_bulk(ret, call->run, strlen(call->run));
	add_bulk(ret, store->events.data, store->events.len);
	for (size_t i = 0; i < call->count; i++)
		add_bulk(ret, call->args[i].at, call->args[i].len);
}

static void drop(struct store_call *call)
{
	struct store *store = call->store;

	if (!call->sent)
		store->unsent--;
	DL_DELETE(store->calls, call);
	store->pending--;
	free(call);
}

/* A refusal that passes: the call goes again a little later. */
static void hold(struct store_call *call)
{
	call->sent = false;
	call->store->unsent++;
	call->not_before = clock_mono_ms() + RETRY_MS;
}

static bool begins(const char *text, const char *with) { return strncmp(text, with, strlen(with)) == 0; }

static bool passes(const char *error)
{
	return begins(error, "TRYAGAIN") || begins(error, "OOM") || strstr(error, "OOM command not allowed") ||
	       strstr(error, "NOSCRIPT");
}

static bool any_begins(const char *error, const char *const *words)
{
	for (; *words; words++)
		if (begins(error, *words))
			return true;
	return false;
}

/* It answers, and does nothing for us: as good as away. A new session may also find another server at the address, the
 * one that is the primary now. Where only writes are refused, that one has to take a write before it counts as up. */
static bool away(struct store *store, const char *error)
{
	static const char *const all[] = {"LOADING", "BUSY ", "MASTERDOWN", "CLUSTERDOWN", NULL};
	static const char *const writes[] = {"READONLY", "MISCONF", "NOREPLICAS", NULL};

	if (any_begins(error, writes))
		store->has_to_write = true;
	return any_begins(error, writes) || any_begins(error, all);
}

static void reload(struct store_call *call)
{
	struct buf out = BUF_INIT;
	const struct lua_script *script = call->script->script;
	struct store_arg args[] = {STORE_TEXT("SCRIPT"), STORE_TEXT("LOAD"), STORE_BYTES(script->text, script->len)};

	store_encode(&out, args, 3);
	redisAsyncFormattedCommand(call->store->links[0]->redis, NULL, NULL, out.data, out.len);
	buf_release(&out);
}

/* The script found the job in another run than the caller thought: again, with that one's keys. */
static void rerun(struct store_call *call, const char *run)
{
	struct store *store = call->store;

	store_script(store, call->script->script->name, call->id, run, call->args, call->count, call->done, call->data);
	drop(call);
}

static void answer(struct store_call *call, const struct store_reply *reply)
{
	store_done *done = call->done;
	void *data = call->data;
	bool run = call->script && store_reply_count(reply) == 2 && strcmp(store_text_at(reply, 0), "run") == 0;

	if (run) {
		rerun(call, store_text_at(reply, 1));
		return;
	}
	drop(call);
	if (done)
		done(data, reply);
}

#ifdef FLOTILLA_FAULTS

/* A socket that is shut looks as if Redis had reset it: all that is unanswered goes again. */
static bool fault_strikes(const struct store_call *call, redisAsyncContext *redis, bool answered)
{
	struct fault fault;
	int done;

	if (!fault_take(fault_of_script(call->script ? call->script->script->name : "plain", answered), &fault))
		return false;
	if (!answered)
		redisBufferWrite(&redis->c, &done);
	if (!fault_do(&fault))
		return false;
	shutdown(redis->c.fd, SHUT_RDWR);
	return true;
}

#else
#define fault_strikes(call, redis, answered) false
#endif

static void on_reply(redisAsyncContext *redis, void *raw, void *data)
{
	struct store_call *call = data;
	struct store *store = call->store;
	const struct store_reply *reply = raw;
	const char *error = store_reply_error(reply);
	struct store_link *link = redis->ev.data;

	if (!raw)
		return; /* the connection is gone: store_calls_unsend has it, or the store is closing */
	if (fault_strikes(call, redis, true))
		return;
	link->unanswered--;
	link->last_reply = clock_mono_ms();
	if (call->sent_at > store->alive_at)
		store->alive_at = call->sent_at;
	if (error && away(store, error)) {
		store_link_lost(store, error);
		return;
	}
	if (!error || !passes(error)) {
		/* what was refused before, or could be, is taken; other answers say nothing of a full Redis */
		if (call->not_before || (call->script && call->script->needs_memory))
			store->full = false;
		answer(call, reply);
		return;
	}
	if (strstr(error, "NOSCRIPT") && call->script)
		reload(call);
	store->full = strstr(error, "OOM") != NULL;
	if (store->full && call->script && call->script->tried_once)
		answer(call, reply);
	else
		hold(call);
}

/* What is said about one job goes by one connection, so that it stays in order: a last progress before the end. */
static size_t link_of(const struct store_call *call)
{
	size_t hash = 5381;

	if (!call->script)
		return call->store->turn++ % call->store->link_count;
	for (const char *at = call->id; *at; at++)
		hash = hash * 33 + (unsigned char)*at;
	return hash % call->store->link_count;
}

static void send_call(struct store_call *call)
{
	static const size_t keep = 1 << 20;
	struct buf *out = &call->store->out;
	struct store_link *link;

	buf_reset(out);
	if (call->script)
		encode_script(call, out);
	else
		store_encode(out, call->args, call->count);
	call->sent = true;
	call->sent_at = call->store->durable ? 0 : clock_mono_ms();
	call->store->unsent--;
	link = call->store->links[link_of(call)];
	if (link->unanswered++ == 0)
		link->last_reply = clock_mono_ms();
	redisAsyncFormattedCommand(link->redis, on_reply, call, out->data, out->len);
	(void)fault_strikes(call, link->redis, false);
	if (out->cap > keep)
		buf_release(out);
}

void store_calls_send(struct store *store)
{
	int64_t now = clock_mono_ms();
	struct store_call *call;

	if (!store->up || store->unsent == 0)
		return;
	DL_FOREACH(store->calls, call)
	if (!call->sent && call->not_before <= now)
		send_call(call);
}

void store_calls_unsend(struct store *store)
{
	struct store_call *call;
	DL_FOREACH(store->calls, call)
	{
		if (call->sent)
			store->unsent++;
		call->sent = false;
		call->not_before = 0;
	}
}

void store_calls_fail(struct store *store)
{
	static char text[] = "Redis was lost in between, and may have forgotten what came before";
	redisReply error = {.type = REDIS_REPLY_ERROR, .str = text, .len = sizeof text - 1};
	struct store_call *call = store->calls, *last = call ? call->prev : NULL; /* not what the answers lead to */
	bool more = call != NULL;

	while (more) {
		struct store_call *next = call->next;
		more = call != last;
		if (call->script && call->script->rests)
			answer(call, (const struct store_reply *)&error);
		call = next;
	}
}

void store_calls_drop(struct store *store)
{
	while (store->calls)
		drop(store->calls);
}

static struct store_call *make(struct store *store, const char *id, const char *run, const struct store_arg *args,
			       size_t count)
{
	size_t id_len = strlen(id) + 1, run_len = strlen(run) + 1, size = sizeof(struct store_call) + id_len + run_len;
	struct store_call *call;
	char *at;

	for (size_t i = 0; i < count; i++)
		size += sizeof *args + args[i].len;
	call = xmalloc(size);
	memset(call, 0, sizeof *call);
	call->args = (struct store_arg *)(call + 1);
	at = (char *)(call->args + count);
	for (size_t i = 0; i < count; at += args[i++].len) {
		call->args[i] = STORE_BYTES(at, args[i].len);
		if (args[i].len)
			memcpy(at, args[i].at, args[i].len);
	}
	call->id = memcpy(at, id, id_len);
	call->run = memcpy(at + id_len, run, run_len);
	call->store = store;
	call->count = count;
	return call;
}

static void enqueue(struct store_call *call, store_done *done, void *data)
{
	struct store *store = call->store;

	call->done = done;
	call->data = data;
	DL_APPEND(store->calls, call);
	store->pending++;
	store->unsent++;
	if (store->up)
		send_call(call);
}

void store_script(struct store *store, const char *name, const char *id, const char *run, const struct store_arg *args,
		  size_t count, store_done *done, void *data)
{
	const struct store_script_info *info = store_script_find(store, name);
	struct store_call *call;

	if (!info)
		abort(); /* a name that no file has: a slip of the programmer */
	call = make(store, id, run ? run : "", args, count);
	call->script = info;
	enqueue(call, done, data);
}

void store_command(struct store *store, store_done *done, void *data, const struct store_arg *args, size_t count)
{
	enqueue(make(store, "", "", args, count), done, data);
}
