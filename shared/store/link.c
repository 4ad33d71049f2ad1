/* hiredis on libuv, with or without TLS. The adapter that hiredis ships never reports a refused connection (its poll
 * callback returns on an error status); this one does, and it writes once a turn of the loop, however many commands the
 * turn made.
 *
 * With TLS hiredis connects as ever; then the descriptor that it has becomes the plain end of a struct tls, under the
 * same number. It is told that it is connected at once: what it writes waits there until Redis is known to be the right
 * one. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "store/internal.h"

/* The link outlives what it is doing: it goes with its last handle, once it is released. */
static void write_now(struct store_link *link)
{
	link->writing = true;
	redisAsyncHandleWrite(link->redis);
	link->writing = false;
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
	struct store_link *link = poll->data;

	if (!link->redis)
		return;
	if (status < 0)
		events = UV_READABLE | UV_WRITABLE; /* let hiredis meet the error itself */
	if (link->redis && (events & UV_READABLE))
		redisAsyncHandleRead(link->redis);
	if (link->redis && (events & UV_WRITABLE))
		write_now(link);
}

static void on_flush(uv_idle_t *idle)
{
	struct store_link *link = idle->data;

	uv_idle_stop(idle);
	if (link->redis && (link->redis->c.flags & REDIS_CONNECTED))
		write_now(link);
}

void store_link_write(struct store_link *link)
{
	if (link->flush && uv_is_active((uv_handle_t *)link->flush))
		on_flush(link->flush);
}

static void want(struct store_link *link, int events)
{
	if (link->poll && link->events != events) {
		link->events = events;
		if (events)
			uv_poll_start(link->poll, events, on_poll);
		else
			uv_poll_stop(link->poll);
	}
}

static void add_read(void *data)
{
	struct store_link *link = data;
	want(link, link->events | UV_READABLE);
}

static void del_read(void *data)
{
	struct store_link *link = data;
	want(link, link->events & ~UV_READABLE);
}

/* A command was added (a first attempt is made in the next turn), or, from within a write, the socket did not
 * take everything, or there is no connection yet: then its writability is waited for. */
static void add_write(void *data)
{
	struct store_link *link = data;

	if (link->writing || !link->redis || !(link->redis->c.flags & REDIS_CONNECTED))
		want(link, link->events | UV_WRITABLE);
	else
		uv_idle_start(link->flush, on_flush);
}

static void del_write(void *data)
{
	struct store_link *link = data;
	want(link, link->events & ~UV_WRITABLE);
}

static void free_handle(uv_handle_t *handle)
{
	struct store_link *link = handle->data;

	free(handle);
	if (--link->handles == 0 && link->released)
		free(link);
}

static void cleanup(void *data)
{
	struct store_link *link = data;

	if (link->tls)
		tls_why(link->tls, &link->why);
	link->tls = tls_close(link->tls);
	link->redis = NULL;
	if (link->poll) {
		uv_close((uv_handle_t *)link->poll, free_handle);
		link->poll = NULL;
	}
	if (link->flush) {
		uv_close((uv_handle_t *)link->flush, free_handle);
		link->flush = NULL;
	}
}

static void attach(struct store_link *link)
{
	redisAsyncContext *redis = link->redis;

	redis->ev.data = link;
	redis->ev.addRead = add_read;
	redis->ev.delRead = del_read;
	redis->ev.addWrite = add_write;
	redis->ev.delWrite = del_write;
	redis->ev.cleanup = cleanup;
	link->poll = xmalloc(sizeof *link->poll);
	uv_poll_init(link->loop, link->poll, redis->c.fd);
	link->poll->data = link;
	link->flush = xmalloc(sizeof *link->flush);
	uv_idle_init(link->loop, link->flush);
	link->flush->data = link;
	link->handles = 2;
}

/* What a Redis without TLS, which waits for the end of a line, answers to. */
#define PROBE "PING\r\n"

static int secure(struct store_link *link)
{
	int *fd = &link->redis->c.fd, wire = fcntl(*fd, F_DUPFD_CLOEXEC, 0), inner, events = link->events;

	if (wire < 0)
		return err_set(&link->why, ERR_SERVICE, "TLS: no descriptor: %s", strerror(errno));
	if (tls_start(link->files, wire, link->url->host, PROBE, &link->tls, &inner, &link->why))
		return link->why.code;
	want(link, 0); /* the poll would go on watching the connection */
	if (dup3(inner, *fd, O_CLOEXEC) < 0)
		err_set(&link->why, ERR_SERVICE, "TLS: no descriptor: %s", strerror(errno));
	close(inner);
	want(link, events);
	return link->why.code;
}

static void on_connect(const redisAsyncContext *redis, int status)
{
	struct store_link *link = redis->ev.data;

	link->failing = status != REDIS_OK;
	if (!link->failing && link->url->tls && secure(link))
		shutdown(redis->c.fd, SHUT_RDWR); /* its end is told as any other */
	link->connected(redis, status);
}

int store_link_why(const struct store_link *link, const redisAsyncContext *redis, struct err *err)
{
	if (link->why.code) {
		*err = link->why;
		return err->code;
	}
	return err_set(err, ERR_SERVICE, "%s", redis->errstr[0] ? redis->errstr : "connection closed");
}

struct store_link *store_link_open(uv_loop_t *loop, const struct store_url *url, const struct tls_files *files,
				   redisConnectCallback *connected, redisDisconnectCallback *lost, void *data,
				   struct err *err)
{
	struct store_link *link;
	redisAsyncContext *redis =
		url->path ? redisAsyncConnectUnix(url->path) : redisAsyncConnect(url->host, url->port);

	if (!redis || redis->err) {
		err_set(err, ERR_SERVICE, "%s", redis ? redis->errstr : "out of memory");
		if (redis)
			redisAsyncFree(redis);
		return NULL;
	}
	link = xcalloc(1, sizeof *link);
	link->loop = loop;
	link->url = url;
	link->files = files;
	link->redis = redis;
	redis->data = data;
	attach(link);
	link->connected = connected;
	redisAsyncSetConnectCallback(redis, on_connect);
	redisAsyncSetDisconnectCallback(redis, lost);
	return link;
}

void store_link_free(struct store_link *link)
{
	if (!link)
		return;
	link->released = true;
	if (link->redis && link->failing)
		return;
	if (link->redis)
		redisAsyncFree(link->redis);
	else if (link->handles == 0)
		free(link);
}
