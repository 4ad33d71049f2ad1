/* How calls leave. Those of one turn of the loop are sent together at the beginning of the next: each command by
 * itself, and of the transitions of one script up to STORE_BATCH in one call (lua_scripts.h).
 *
 * A batch that is full leaves at once. Another leaves while there is a connection on which nothing is unanswered, and
 * else grows until there is: so with little to do nothing waits, and the more Redis has to do, the more goes in a call
 * (as Nagle's algorithm has it for a connection, RFC 896).
 *
 * What leaves in one turn leaves in one write, as long as it is not more than Redis reads at once: then all of it is
 * in Redis' log with one sync. (A chain's step would have waited for the sync of what was said beside it.)
 *
 * Calls go by whatever connection is free, so that of two that are unanswered at the same time any may come first: a
 * flow waits for the answer before it goes on. */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <utlist.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/fault.h"
#include "store/internal.h"

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

/* --- answers --- */

static void batch_spare(struct store *store, struct store_batch *batch)
{
	batch->next = store->spare;
	store->spare = batch;
}

struct answers {
	const redisReply *all; /* of a batch (lua_scripts.h) */
	size_t next;
	const redisReply *one;
	long long again; /* how many more have that one */
};

static const struct store_reply *next_answer(struct answers *answers)
{
	const redisReply *all = answers->all;

	if (answers->again > 0) {
		answers->again--;
		return (const struct store_reply *)answers->one;
	}
	answers->one = answers->next < all->elements ? all->element[answers->next++] : NULL;
	if (answers->next < all->elements && all->element[answers->next]->type == REDIS_REPLY_INTEGER)
		answers->again = all->element[answers->next++]->integer;
	return (const struct store_reply *)answers->one;
}

static void on_answers(redisAsyncContext *redis, void *raw, void *data)
{
	struct store_batch *batch = data;
	struct store *store = redis->data;
	struct store_link *link = redis->ev.data;
	const struct store_reply *reply = raw;
	struct answers answers = {.all = raw};
	bool each;

	if (!raw) { /* the connection is gone: store_calls_unsend has the calls, or all is being closed */
		free(batch);
		return;
	}
	link->unanswered--;
	link->last_reply = clock_mono_ms();
	if (batch->sent_at > store->alive_at)
		store->alive_at = batch->sent_at;
	each = batch->calls[0]->script && !store_reply_error(reply);
	/* an answer may end the session, and then the others are no longer waited for here */
	for (size_t i = 0; i < batch->count && store->up && !fault_strikes(batch->calls[i], redis, true); i++)
		store_call_answered(batch->calls[i], each ? next_answer(&answers) : reply);
	batch_spare(store, batch);
	if (store->unsent)
		store_calls_soon(store);
}

void store_batches_release(struct store *store)
{
	while (store->spare) {
		struct store_batch *batch = store->spare;
		store->spare = batch->next;
		free(batch);
	}
}

/* --- sending --- */

static struct store_batch *batch_new(struct store *store)
{
	struct store_batch *batch = store->spare;

	if (batch)
		store->spare = batch->next;
	else
		batch = xmalloc(sizeof *batch);
	batch->next = NULL;
	batch->full = false;
	batch->count = batch->words = batch->bytes = 0;
	return batch;
}

static size_t words_of(const struct store_call *call)
{
	const struct lua_script *script = call->script ? call->script->script : NULL;
	return script ? store_encode_words(script, call) : call->count;
}

static bool batch_takes(struct store_batch *batch, const struct store_call *call)
{
	batch->full = batch->full || batch->words + words_of(call) > STORE_BATCH_WORDS ||
		      batch->bytes + call->bytes > STORE_BATCH_BYTES;
	return !batch->full;
}

static void batch_add(struct store_batch *batch, struct store_call *call)
{
	batch->calls[batch->count++] = call;
	batch->words += words_of(call);
	batch->bytes += call->bytes;
	batch->full = batch->full || batch->count == STORE_BATCH;
}

/* The one with the fewest unanswered; of those with none, each in its turn. */
static struct store_link *freest(struct store *store)
{
	struct store_link *best = NULL;

	store->turn++;
	for (size_t i = 0; i < store->link_count; i++) {
		struct store_link *link = store->links[(store->turn + i) % store->link_count];
		if (!best || link->unanswered < best->unanswered)
			best = link;
	}
	return best;
}

/* How many bytes it sent. */
static size_t send_batch(struct store *store, struct store_batch *batch, struct store_link *link)
{
	static const size_t keep = 1 << 20;
	struct buf *out = &store->out;
	size_t len;

	for (size_t i = 0; i < batch->count; i++) {
		DL_DELETE(store->unsent, batch->calls[i]);
		DL_APPEND(store->sent, batch->calls[i]);
		batch->calls[i]->sent = true;
	}
	buf_reset(out);
	if (batch->calls[0]->script)
		store_encode_batch(store, batch, out);
	else
		store_encode(out, batch->calls[0]->args, batch->calls[0]->count);
	batch->sent_at = store->durable ? 0 : clock_mono_ms();
	if (link->unanswered++ == 0)
		link->last_reply = clock_mono_ms();
	redisAsyncFormattedCommand(link->redis, on_answers, batch, out->data, out->len);
	(void)fault_strikes(batch->calls[0], link->redis, false);
	len = out->len;
	if (out->cap > keep)
		buf_release(out);
	return len;
}

/* The batch that a call joins: one of its script that has room. */
static struct store_batch *batch_for(struct store *store, const struct store_call *call)
{
	struct store_batch *batch;

	if (call->script)
		LL_FOREACH(store->gathered, batch)
	if (batch->calls[0]->script == call->script && batch_takes(batch, call))
		return batch;
	batch = batch_new(store);
	LL_APPEND(store->gathered, batch);
	return batch;
}

static void send_gathered(struct store *store)
{
	struct store_batch *batch;
	struct store_link *link = NULL;
	size_t sent = 0;
	bool idle = false;

	while ((batch = store->gathered) != NULL) {
		if (!link || sent > STORE_WRITE) {
			link = freest(store);
			idle = link->unanswered == 0;
			sent = 0;
		}
		store->gathered = batch->next;
		if (batch->full || !batch->calls[0]->script || idle)
			sent += send_batch(store, batch, link);
		else
			batch_spare(store, batch); /* its calls stay unsent */
	}
}

void store_calls_send(struct store *store)
{
	struct store_call *call;
	int64_t now;

	if (!store->up || !store->unsent)
		return;
	now = clock_mono_ms();
	DL_FOREACH(store->unsent, call)
	if (call->not_before <= now)
		batch_add(batch_for(store, call), call);
	send_gathered(store);
	for (size_t i = 0; i < store->link_count; i++)
		if (store->links[i])
			store_link_write(store->links[i]);
}

static void on_soon(uv_idle_t *idle)
{
	uv_idle_stop(idle);
	store_calls_send(idle->data);
}

void store_calls_soon(struct store *store)
{
	if (store->up && !uv_is_active((uv_handle_t *)store->soon))
		uv_idle_start(store->soon, on_soon);
}
