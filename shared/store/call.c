/* Calls: made, answered, made to go again. A call is one allocation: the struct, its arguments, their bytes. batch.c
 * sends them. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "base/buf.h"
#include "base/clock.h"
#include "store/internal.h"

#define RETRY_MS 200

static void drop(struct store_call *call)
{
	struct store *store = call->store;

	if (call->sent)
		DL_DELETE(store->sent, call);
	else
		DL_DELETE(store->unsent, call);
	store->pending--;
	free(call);
}

/* A refusal that passes: the call goes again a little later. */
static void hold(struct store_call *call)
{
	struct store *store = call->store;

	if (!call->sent)
		return;
	DL_DELETE(store->sent, call);
	DL_APPEND(store->unsent, call);
	call->sent = false;
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

/* The user has not the right, or not in a script (7.0 words that otherwise). */
static bool denied(const char *error)
{
	return begins(error, "NOPERM") || strstr(error, "ACL failure in script") ||
	       strstr(error, "The user executing the script can't");
}

/* What is asked for a hint, or where the caller can do without. */
static bool may_be_denied(const struct store_call *call)
{
	return !call->done || (!call->script && call->count > 0 &&
			       (begins(call->args[0].at, "CONFIG") || begins(call->args[0].at, "INFO")));
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

void store_call_answered(struct store_call *call, const struct store_reply *reply)
{
	struct store *store = call->store;
	const char *error = store_reply_error(reply);

	if (error && away(store, error)) {
		store_link_lost(store, error);
		return;
	}
	if (error && denied(error) && !may_be_denied(call)) {
		store_denied(store, error);
		return;
	}
	if (error && store->scriptless && strstr(error, "NOSCRIPT")) {
		store_denied(store, "NOPERM this user may run scripts and not load them (SCRIPT LOAD)");
		return;
	}
	if (!error || !passes(error)) {
		/* what was refused before, or could be, is taken; other answers say nothing of a full Redis */
		if (call->not_before || (call->script && call->script->script->needs_memory))
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

void store_calls_unsend(struct store *store)
{
	struct store_call *call;

	DL_CONCAT(store->sent, store->unsent);
	store->unsent = store->sent;
	store->sent = NULL;
	DL_FOREACH(store->unsent, call)
	{
		call->sent = false;
		call->not_before = 0;
	}
}

void store_calls_fail(struct store *store)
{
	static char text[] = "Redis was lost in between, and may have forgotten what came before";
	redisReply error = {.type = REDIS_REPLY_ERROR, .str = text, .len = sizeof text - 1};
	struct store_call *call = store->unsent, *last = call ? call->prev : NULL; /* not what the answers lead to */
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
	while (store->unsent)
		drop(store->unsent);
	while (store->sent)
		drop(store->sent);
}

bool store_call_withdraw(struct store *store, const void *data)
{
	struct store_call *call;

	DL_FOREACH(store->unsent, call)
	if (call->data == data) {
		drop(call);
		return true;
	}
	return false;
}

static struct store_call *make(struct store *store, const char *id, const char *run, const struct store_arg *args,
			       size_t count)
{
	size_t id_len = strlen(id) + 1, run_len = strlen(run) + 1, size = sizeof(struct store_call) + id_len + run_len,
	       bytes = 0;
	struct store_call *call;
	char *at;

	for (size_t i = 0; i < count; i++)
		bytes += args[i].len;
	size += count * (sizeof *args + 1) + bytes; /* a NUL behind each, for one that is an id */
	call = xmalloc(size);
	memset(call, 0, sizeof *call);
	call->args = (struct store_arg *)(call + 1);
	at = (char *)(call->args + count);
	for (size_t i = 0; i < count; at += args[i++].len + 1) {
		call->args[i] = STORE_BYTES(at, args[i].len);
		if (args[i].len)
			memcpy(at, args[i].at, args[i].len);
		at[args[i].len] = '\0';
	}
	call->id = memcpy(at, id, id_len);
	call->run = memcpy(at + id_len, run, run_len);
	call->store = store;
	call->count = count;
	call->bytes = bytes;
	return call;
}

static void enqueue(struct store_call *call, store_done *done, void *data)
{
	struct store *store = call->store;

	call->done = done;
	call->data = data;
	DL_APPEND(store->unsent, call);
	store->pending++;
	store_calls_soon(store);
}

void store_script(struct store *store, const char *name, const char *id, const char *run, const struct store_arg *args,
		  size_t count, store_done *done, void *data)
{
	struct store_script_info *info = store_script_find(store, name);
	struct store_call *call;

	if (!info || (count > info->script->arg_count && !info->script->more))
		abort(); /* no such script, or more than it takes: a slip of the programmer */
	call = make(store, id, run ? run : "", args, count);
	call->script = info;
	enqueue(call, done, data);
}

void store_command(struct store *store, store_done *done, void *data, const struct store_arg *args, size_t count)
{
	enqueue(make(store, "", "", args, count), done, data);
}
