/* A subscription, on a connection of its own that comes back by itself. */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "store/internal.h"

#define TICK_MS 250
#define PING_MS 2000
#define SILENCE_MS 8000

struct store_listener {
	struct store *store;
	struct store_link *link;
	uv_timer_t timer;
	char *channel;
	void (*heard)(void *data, const char *text);
	void *data;
	int64_t last_heard, last_ping, next_try;
	unsigned tries;
	bool closing;
};

static void lose(struct store_listener *l)
{
	struct store_link *link = l->link;

	l->link = NULL;
	l->next_try = clock_mono_ms() + backoff_ms(100, 2000, l->tries++);
	store_link_free(link);
}

/* The link has let go of its connection already when the end of that is told. */
static bool of_present(const struct store_listener *l, const redisAsyncContext *redis)
{
	return l && l->link && l->link == redis->ev.data;
}

static void on_lost(const redisAsyncContext *redis, int status)
{
	struct store_listener *l = redis->data;

	(void)status;
	if (of_present(l, redis))
		lose(l);
}

static void on_message(redisAsyncContext *redis, void *raw, void *data)
{
	struct store_listener *l = redis->data;
	const redisReply *reply = raw;

	(void)data;
	if (!of_present(l, redis) || !reply)
		return;
	l->last_heard = clock_mono_ms();
	if (reply->type == REDIS_REPLY_ERROR) {
		lose(l);
		return;
	}
	if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 3)
		return;
	if (strcmp(reply->element[0]->str, "subscribe") == 0) {
		l->tries = 0;
		l->heard(l->data, NULL);
	} else if (strcmp(reply->element[0]->str, "message") == 0) {
		l->heard(l->data, reply->element[2]->str);
	}
}

static void send_words(struct store_listener *l, redisCallbackFn *done, const struct store_arg *args, size_t count)
{
	struct buf out = BUF_INIT;

	store_encode(&out, args, count);
	redisAsyncFormattedCommand(l->link->redis, done, NULL, out.data, out.len);
	buf_release(&out);
}

static void on_connected(const redisAsyncContext *redis, int status)
{
	struct store_listener *l = redis->data;
	const struct store_url *url = &l->store->url;
	struct store_arg args[3] = {STORE_TEXT("AUTH")};

	if (!of_present(l, redis))
		return;
	if (status != REDIS_OK) {
		lose(l);
		return;
	}
	if (url->password && url->user) {
		args[1] = STORE_TEXT(url->user);
		args[2] = STORE_TEXT(url->password);
		send_words(l, NULL, args, 3);
	} else if (url->password) {
		args[1] = STORE_TEXT(url->password);
		send_words(l, NULL, args, 2);
	}
	args[0] = STORE_TEXT("SUBSCRIBE");
	args[1] = STORE_TEXT(l->channel);
	send_words(l, on_message, args, 2);
}

static void on_tick(uv_timer_t *timer)
{
	struct store_listener *l = timer->data;
	int64_t now = clock_mono_ms();
	struct err err;

	if (l->link) {
		if (now - l->last_heard > SILENCE_MS)
			lose(l);
		else if (now - l->last_ping > PING_MS) {
			l->last_ping = now;
			/* subscribing to what one has is a ping that every Redis answers in this mode */
			struct store_arg args[] = {STORE_TEXT("SUBSCRIBE"), STORE_TEXT(l->channel)};
			send_words(l, on_message, args, 2);
		}
		return;
	}
	if (now < l->next_try)
		return;
	l->last_heard = l->last_ping = now;
	l->link = store_link_open(l->store->loop, &l->store->url, l->store->tls, on_connected, on_lost, l, &err);
	if (!l->link)
		l->next_try = now + backoff_ms(100, 2000, l->tries++);
}

struct store_listener *store_listen(struct store *store, const char *worker,
				    void (*heard)(void *data, const char *text), void *data)
{
	struct store_listener *l = xcalloc(1, sizeof *l);
	struct buf channel = BUF_INIT;

	store_key(&channel, store->prefix, worker ? KEY_WORKER : KEY_EVENTS, worker, NULL);
	l->store = store;
	l->channel = buf_detach(&channel);
	l->heard = heard;
	l->data = data;
	uv_timer_init(store->loop, &l->timer);
	l->timer.data = l;
	uv_timer_start(&l->timer, on_tick, 0, TICK_MS);
	return l;
}

static void on_closed(uv_handle_t *handle) { free(handle->data); }

void store_unlisten(struct store_listener *l)
{
	struct store_link *link;

	if (!l)
		return;
	link = l->link;
	l->link = NULL;
	store_link_free(link);
	free(l->channel);
	uv_close((uv_handle_t *)&l->timer, on_closed);
}
