/* Commands written as a line of words, and calls that wait for their answer. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "store/internal.h"

#define WORDS 32

struct words {
	struct buf bytes;
	size_t ends[WORDS];
	size_t count;
};

static void add_directive(struct words *words, const struct store *store, char directive, va_list *ap)
{
	switch (directive) {
	case 'k': {
		enum store_key key = va_arg(*ap, enum store_key);
		const char *id = va_arg(*ap, const char *);
		store_key(&words->bytes, store->prefix, key, id, id);
		break;
	}
	case 's': buf_adds(&words->bytes, va_arg(*ap, const char *)); break;
	case 'd': buf_addf(&words->bytes, "%lld", (long long)va_arg(*ap, int64_t)); break;
	case 'b': {
		const void *bytes = va_arg(*ap, const void *);
		buf_add(&words->bytes, bytes, va_arg(*ap, size_t));
		break;
	}
	default: abort(); /* a slip of the programmer */
	}
}

static void scan(struct words *words, const struct store *store, const char *format, va_list *ap)
{
	const char *at = format;

	while (*at) {
		size_t blank = strspn(at, " ");
		at += blank;
		if (!*at)
			break;
		if (words->count == WORDS)
			abort();
		for (; *at && *at != ' '; at++) {
			if (*at == '%')
				add_directive(words, store, *++at, ap);
			else
				buf_add(&words->bytes, at, 1);
		}
		words->ends[words->count++] = words->bytes.len;
	}
}

static void run_words(struct store *store, struct words *words, store_done *done, void *data)
{
	struct store_arg args[WORDS];
	size_t begin = 0;

	for (size_t i = 0; i < words->count; i++) {
		args[i] = STORE_BYTES(words->bytes.data + begin, words->ends[i] - begin);
		begin = words->ends[i];
	}
	store_command(store, done, data, args, words->count);
	buf_release(&words->bytes);
}

void store_format(struct store *store, store_done *done, void *data, const char *format, ...)
{
	struct words words = {.bytes = BUF_INIT};
	va_list ap;

	va_start(ap, format);
	scan(&words, store, format, &ap);
	va_end(ap);
	run_words(store, &words, done, data);
}

/* A sync call whose caller has given up leaves this behind for the answer that may still come. */
struct waiter {
	struct store_reply *reply;
	bool answered, abandoned;
};

static void on_answer(void *data, const struct store_reply *reply)
{
	struct waiter *waiter = data;

	if (waiter->abandoned) {
		free(waiter);
		return;
	}
	waiter->reply = store_reply_copy(reply);
	waiter->answered = true;
}

static void on_tick(uv_timer_t *timer) { (void)timer; }
static void free_timer(uv_handle_t *handle) { free(handle); }

struct store_reply *store_sync(struct store *store, int64_t timeout_ms, struct err *err, const char *format, ...)
{
	struct words words = {.bytes = BUF_INIT};
	struct waiter *waiter = xcalloc(1, sizeof *waiter);
	uv_timer_t *tick = xmalloc(sizeof *tick);
	int64_t until = clock_mono_ms() + timeout_ms;
	struct store_reply *reply = NULL;
	va_list ap;

	va_start(ap, format);
	scan(&words, store, format, &ap);
	va_end(ap);
	run_words(store, &words, on_answer, waiter);
	uv_timer_init(store->loop, tick);
	uv_timer_start(tick, on_tick, 100, 100);
	while (!waiter->answered && clock_mono_ms() < until && !store->refused)
		uv_run(store->loop, UV_RUN_ONCE);
	uv_close((uv_handle_t *)tick, free_timer);
	if (waiter->answered) {
		reply = waiter->reply;
		free(waiter);
		return reply;
	}
	waiter->abandoned = true;
	if (store_call_withdraw(store, waiter))
		free(waiter);
	err_set(err, store->refused ? ERR_REFUSED : ERR_SERVICE, "Redis at %s does not answer: %s", store->shown,
		store->why.text[0] ? store->why.text : "no reply in time");
	return NULL;
}

int store_wait_up(struct store *store, int64_t timeout_ms, struct err *err)
{
	struct store_reply *pong = store_sync(store, timeout_ms, err, "PING");

	if (!pong)
		return err->code;
	store_reply_free(pong);
	return 0;
}
