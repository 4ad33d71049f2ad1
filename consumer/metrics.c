/* The endpoint. libmicrohttpd gathers its sockets in an epoll descriptor of its own; that one is polled on the loop,
 * and its timeouts are a timer's, so there is no thread and nothing blocks: a client that is slow to send or to read
 * holds up itself, and after ten seconds loses its connection. */
#include "metrics.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "metrics_internal.h"

#define CONNECTIONS_MAX 64
#define IDLE_S 10

#define METHODS "GET, HEAD"

/* --- requests --- */

static enum MHD_Result answer(struct MHD_Connection *connection, unsigned status, const char *type, struct buf *text)
{
	size_t len = text->len;
	struct MHD_Response *response = MHD_create_response_from_buffer(len, buf_detach(text), MHD_RESPMEM_MUST_FREE);
	enum MHD_Result result;

	if (!response)
		return MHD_NO;
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
	MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
	if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
		MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, METHODS);
	result = MHD_queue_response(connection, status, response);
	MHD_destroy_response(response);
	return result;
}

static enum MHD_Result answer_text(struct MHD_Connection *connection, unsigned status, const char *text)
{
	struct buf body = BUF_INIT;

	buf_addf(&body, "%s\n", text);
	return answer(connection, status, "text/plain; charset=utf-8", &body);
}

static enum MHD_Result answer_metrics(struct MHD_Connection *connection, struct metrics *metrics)
{
	struct buf body = BUF_INIT;

	metrics_write(metrics, &body);
	return answer(connection, MHD_HTTP_OK, EXPOSITION_TYPE, &body);
}

static enum MHD_Result answer_ready(struct MHD_Connection *connection, const struct worker *worker)
{
	char why[200];

	if (health_ready(worker, why, sizeof why))
		return answer_text(connection, MHD_HTTP_OK, "ready");
	return answer_text(connection, MHD_HTTP_SERVICE_UNAVAILABLE, why);
}

static enum MHD_Result on_request(void *data, struct MHD_Connection *connection, const char *url, const char *method,
				  const char *version, const char *body, size_t *body_len, void **begun)
{
	struct metrics *metrics = data;

	(void)version;
	(void)body;
	/* first comes the head alone; a body, if there is one, is read and dropped */
	if (!*begun || *body_len > 0) {
		*begun = metrics;
		*body_len = 0;
		return MHD_YES;
	}
	if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
		return answer_text(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "only GET and HEAD are answered here");
	if (strcmp(url, "/metrics") == 0)
		return answer_metrics(connection, metrics);
	if (strcmp(url, "/healthz") == 0)
		return answer_text(connection, MHD_HTTP_OK, "ok");
	if (strcmp(url, "/readyz") == 0)
		return answer_ready(connection, metrics->worker);
	return answer_text(connection, MHD_HTTP_NOT_FOUND, "there are /metrics, /healthz and /readyz");
}

static void on_library_log(void *data, const char *format, va_list ap)
{
	CLEANUP(buf_release) struct buf text = BUF_INIT;

	(void)data;
	buf_vaddf(&text, format, ap);
	if (text.len > 0 && text.data[text.len - 1] == '\n')
		text.data[text.len - 1] = '\0';
	log_debug("metrics: %s", text.data);
}

/* --- on the loop --- */

static void run(struct metrics *metrics);

static void on_timer(uv_timer_t *timer) { run(timer->data); }

static void on_ready(uv_poll_t *poll, int status, int events)
{
	(void)status;
	(void)events;
	run(poll->data);
}

static void run(struct metrics *metrics)
{
	MHD_UNSIGNED_LONG_LONG ms;

	MHD_run(metrics->daemon);
	if (MHD_get_timeout(metrics->daemon, &ms) == MHD_YES)
		uv_timer_start(&metrics->timer, on_timer, ms, 0);
	else
		uv_timer_stop(&metrics->timer);
}

/* --- the address --- */

struct address {
	char host[256], port[8];
};

static int split(const char *text, struct address *ret, struct err *err)
{
	const char *colon = strrchr(text, ':'), *host = text;
	size_t len = colon ? (size_t)(colon - text) : 0;
	char *end;
	long port = colon && colon[1] ? strtol(colon + 1, &end, 10) : -1;
	bool bracketed = len >= 2 && text[0] == '[' && text[len - 1] == ']';

	if (bracketed) {
		host++;
		len -= 2;
	}
	if (len == 0 || len >= sizeof ret->host || (!bracketed && memchr(host, ':', len)))
		return err_set(err, ERR_USAGE,
			       "\"%.100s\" is no ADDR:PORT, such as 127.0.0.1:9464 or [::1]:9464 (0.0.0.0:9464: on "
			       "all addresses)",
			       text);
	if (port < 0 || port > 65535 || *end || strspn(colon + 1, "0123456789") == 0)
		return err_set(err, ERR_USAGE, "\"%.100s\": the port must be a number from 0 to 65535 (0: any)", text);
	memcpy(ret->host, host, len);
	ret->host[len] = '\0';
	snprintf(ret->port, sizeof ret->port, "%ld", port);
	return 0;
}

int metrics_check(const char *text, struct err *err)
{
	struct address address;
	return split(text, &address, err);
}

static int cannot_listen(const char *text, int error, struct err *err)
{
	if (error == EADDRINUSE)
		return err_set(err, ERR_SERVICE,
			       "--metrics %s: the port is taken; another worker may have it: give each its own", text);
	if (error == EADDRNOTAVAIL)
		return err_set(err, ERR_USAGE, "--metrics %s: this machine has no such address", text);
	return err_set(err, ERR_USAGE, "--metrics %s: cannot listen there: %s", text, strerror(error));
}

static int listen_at(const struct addrinfo *info, const char *text, int *ret, struct err *err)
{
	int one = 1, error;
	int fd = socket(info->ai_family, info->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, info->ai_protocol);

	if (fd < 0)
		return cannot_listen(text, errno, err);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (bind(fd, info->ai_addr, info->ai_addrlen) < 0 || listen(fd, CONNECTIONS_MAX) < 0) {
		error = errno;
		close(fd);
		return cannot_listen(text, error, err);
	}
	*ret = fd;
	return 0;
}

static int open_socket(const char *text, int *ret, struct err *err)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
	struct addrinfo *info;
	struct address address;
	int r = split(text, &address, err);

	if (r < 0)
		return r;
	r = getaddrinfo(address.host, address.port, &hints, &info);
	if (r != 0)
		return err_set(err, ERR_USAGE, "--metrics %s: the address is not known: %s", text,
			       r == EAI_SYSTEM ? strerror(errno) : gai_strerror(r));
	r = listen_at(info, text, ret, err);
	freeaddrinfo(info);
	return r;
}

/* With port 0 it is the kernel that has chosen: the log says what. */
static void tell_address(int fd)
{
	struct sockaddr_storage address;
	socklen_t size = sizeof address;
	char host[256], port[16];

	if (getsockname(fd, (struct sockaddr *)&address, &size) == 0 &&
	    getnameinfo((struct sockaddr *)&address, size, host, sizeof host, port, sizeof port,
			NI_NUMERICHOST | NI_NUMERICSERV) == 0)
		log_info("metrics at http://%s%s%s:%s/metrics", strchr(host, ':') ? "[" : "", host,
			 strchr(host, ':') ? "]" : "", port);
}

/* --- open and close --- */

static int open_daemon(struct metrics *metrics, const char *text, struct err *err)
{
	const union MHD_DaemonInfo *info;
	int fd = -1, r = open_socket(text, &fd, err);

	if (r < 0)
		return r;
	metrics->daemon = MHD_start_daemon(MHD_USE_EPOLL | MHD_USE_ERROR_LOG, 0, NULL, NULL, on_request, metrics,
					   MHD_OPTION_EXTERNAL_LOGGER, on_library_log, NULL, MHD_OPTION_LISTEN_SOCKET,
					   fd, MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS_MAX,
					   MHD_OPTION_CONNECTION_TIMEOUT, IDLE_S, MHD_OPTION_END);
	info = metrics->daemon ? MHD_get_daemon_info(metrics->daemon, MHD_DAEMON_INFO_EPOLL_FD) : NULL;
	if (!info) {
		if (!metrics->daemon)
			close(fd);
		return err_set(err, ERR_SYSTEM, "--metrics %s: libmicrohttpd does not start", text);
	}
	uv_poll_init(metrics->worker->loop, &metrics->poll, info->epoll_fd);
	uv_timer_init(metrics->worker->loop, &metrics->timer);
	uv_timer_init(metrics->worker->loop, &metrics->ask_timer);
	metrics->open_handles = 3;
	metrics->poll.data = metrics->timer.data = metrics->ask_timer.data = metrics;
	tell_address(fd);
	return 0;
}

int metrics_open(struct worker *worker, struct err *err)
{
	struct metrics *metrics;
	int r;

	if (!worker->options.metrics)
		return 0;
	metrics = xcalloc(1, sizeof *metrics);
	metrics->worker = worker;
	r = open_daemon(metrics, worker->options.metrics, err);
	if (r < 0) {
		if (metrics->daemon)
			MHD_stop_daemon(metrics->daemon);
		free(metrics);
		return r;
	}
	worker->metrics = metrics;
	return 0;
}

void metrics_start(struct worker *worker)
{
	if (!worker->metrics)
		return;
	metrics_jobs_open(worker->metrics);
	metrics_fleet_open(worker->metrics);
	uv_poll_start(&worker->metrics->poll, UV_READABLE, on_ready);
	run(worker->metrics);
}

static void on_closed(uv_handle_t *handle)
{
	struct metrics *metrics = handle->data;

	if (--metrics->open_handles > 0)
		return;
	MHD_stop_daemon(metrics->daemon);
	metrics_fleet_close(metrics);
	metrics_jobs_close(metrics);
	free(metrics);
}

void metrics_close(struct worker *worker)
{
	struct metrics *metrics = worker->metrics;

	worker->metrics = NULL;
	if (!metrics)
		return;
	uv_close((uv_handle_t *)&metrics->poll, on_closed);
	uv_close((uv_handle_t *)&metrics->timer, on_closed);
	uv_close((uv_handle_t *)&metrics->ask_timer, on_closed);
}
