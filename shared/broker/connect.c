/* Connecting, and operations that wait for their answer. */
#include <amqp_tcp_socket.h>
#include <string.h>
#include <sys/time.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "broker/session.h"

enum { CHANNEL_MAX = 2047, FRAME_MAX = 131072, DEFAULT_TIMEOUT_MS = 10000, DEFAULT_HEARTBEAT_S = 10 };

/* Until it is logged in: an address that swallows everything must not hold up the next try for long. */
enum { REACH_MS = 4000 };

void bytes_to_text(char *text, size_t size, amqp_bytes_t bytes)
{
	size_t len = bytes.len < size - 1 ? bytes.len : size - 1;
	if (len)
		memcpy(text, bytes.bytes, len);
	text[len] = '\0';
}

bool broker_no_right(const char *text) { return strstr(text, "ACCESS_REFUSED") != NULL; }

static int refused(uint16_t code)
{
	switch (code) {
	case AMQP_NOT_FOUND: return ERR_NOT_FOUND;
	case AMQP_ACCESS_REFUSED:
	case AMQP_RESOURCE_LOCKED:
	case AMQP_PRECONDITION_FAILED:
	case AMQP_NOT_ALLOWED: return ERR_REFUSED;
	default: return ERR_SERVICE;
	}
}

/* The broker opens a closed channel's number again once it has our close-ok. */
static int reopen(struct broker *broker, uint16_t channel, struct err *err)
{
	struct err ignored;
	amqp_channel_close_ok_t ok = {0};

	if (session_send(broker, channel, AMQP_CHANNEL_CLOSE_OK_METHOD, &ok, &ignored) ||
	    broker_channel(broker, channel, &ignored))
		broker->dead = true;
	return err->code;
}

static int closed_by_broker(struct broker *broker, uint16_t channel, const char *doing, const amqp_method_t *reply,
			    struct err *err)
{
	char text[256];
	if (reply->id == AMQP_CHANNEL_CLOSE_METHOD) {
		const amqp_channel_close_t *close = reply->decoded;
		bytes_to_text(text, sizeof text, close->reply_text);
		err_set(err, refused(close->reply_code), "RabbitMQ at %s: %s: %s", broker->where, doing, text);
		return reopen(broker, channel, err);
	}
	if (reply->id == AMQP_CONNECTION_CLOSE_METHOD) {
		const amqp_connection_close_t *close = reply->decoded;
		int code = refused(close->reply_code);
		bytes_to_text(text, sizeof text, close->reply_text);
		/* A limit of connections is not for ever. */
		if (code != ERR_REFUSED || strstr(text, "limit"))
			code = ERR_SERVICE;
		broker->dead = true;
		if (close->reply_code == AMQP_ACCESS_REFUSED)
			return err_set(err, code,
				       "RabbitMQ at %s: wrong user or password, or no access (%s); correct the URL "
				       "(--amqp, FLOTILLA_AMQP_URL)",
				       broker->where, text);
		return err_set(err, code, "RabbitMQ at %s: %s: %s", broker->where, doing, text);
	}
	return session_lost(broker, err, doing, "an answer that was not asked for");
}

static int answer(struct broker *broker, uint16_t channel, const char *doing, amqp_rpc_reply_t reply, struct err *err)
{
	broker->last_sent = clock_mono_ms();
	switch (reply.reply_type) {
	case AMQP_RESPONSE_NORMAL: return 0;
	case AMQP_RESPONSE_SERVER_EXCEPTION: return closed_by_broker(broker, channel, doing, &reply.reply, err);
	default: return session_lost(broker, err, doing, amqp_error_string2(reply.library_error));
	}
}

int session_answer(struct broker *broker, uint16_t channel, const char *doing, struct err *err)
{
	int r = answer(broker, channel, doing, amqp_get_rpc_reply(broker->conn), err);
	amqp_maybe_release_buffers_on_channel(broker->conn, channel);
	return r;
}

static void set_table(amqp_table_entry_t *entry, const char *key, amqp_field_value_kind_t kind)
{
	memset(entry, 0, sizeof *entry);
	entry->key = amqp_cstring_bytes(key);
	entry->value.kind = (uint8_t)kind;
}

/* A password that stands in the URL is meant to be used. */
static bool by_certificate(const struct broker_url *url, const struct tls_files *files)
{
	return url->tls && !url->secret && tls_has_cert(files);
}

static int not_logged_in(struct broker *broker, const struct broker_url *url, int status, struct err *err)
{
	int r = session_lost(broker, err, "cannot log in", amqp_error_string2(status));

	if (status == AMQP_STATUS_BROKER_UNSUPPORTED_SASL_METHOD)
		return err_set(err, ERR_REFUSED, "RabbitMQ at %s does not offer the login %s", broker->where,
			       url->secret ? "PLAIN"
					   : "EXTERNAL, by certificate: enable its plugin rabbitmq_auth_mechanism_ssl, "
					     "or write user and password in the URL");
	if (!url->tls && (status == AMQP_STATUS_SOCKET_ERROR || status == AMQP_STATUS_CONNECTION_CLOSED ||
			  status == AMQP_STATUS_BAD_AMQP_DATA))
		err_set(err, r,
			"RabbitMQ at %s: it ended the connection without a word of AMQP; if it speaks TLS "
			"there, write amqps:// (--amqp, FLOTILLA_AMQP_URL)",
			broker->where);
	return r;
}

static int login(struct broker *broker, const struct broker_url *url, const struct broker_options *options,
		 struct err *err)
{
	static const char *const abilities[] = {"consumer_cancel_notify", "connection.blocked", "basic.nack",
						"publisher_confirms", "authentication_failure_close"};
	enum { COUNT = sizeof abilities / sizeof *abilities };
	amqp_table_entry_t can[COUNT], top[2];
	amqp_table_t properties = {.num_entries = 1, .entries = top};
	int heartbeat_s = options->heartbeat_s ? options->heartbeat_s : DEFAULT_HEARTBEAT_S;
	bool external = by_certificate(url, options->tls);
	amqp_rpc_reply_t reply;

	for (int i = 0; i < COUNT; i++) {
		set_table(&can[i], abilities[i], AMQP_FIELD_KIND_BOOLEAN);
		can[i].value.value.boolean = 1;
	}
	set_table(&top[0], "capabilities", AMQP_FIELD_KIND_TABLE);
	top[0].value.value.table = (amqp_table_t){.num_entries = COUNT, .entries = can};
	if (options->name) {
		set_table(&top[1], "connection_name", AMQP_FIELD_KIND_UTF8);
		top[1].value.value.bytes = amqp_cstring_bytes(options->name);
		properties.num_entries = 2;
	}
	/* RabbitMQ takes the name for EXTERNAL from the certificate, the library sends none that is empty */
	reply = amqp_login_with_properties(broker->conn, url->vhost, CHANNEL_MAX, FRAME_MAX, heartbeat_s, &properties,
					   external ? AMQP_SASL_METHOD_EXTERNAL : AMQP_SASL_METHOD_PLAIN,
					   external && !*url->user ? "-" : url->user, url->password);
	if (reply.reply_type == AMQP_RESPONSE_LIBRARY_EXCEPTION)
		return not_logged_in(broker, url, reply.library_error, err);
	return answer(broker, 0, "cannot log in", reply, err);
}

static struct timeval timeval_of(int ms) { return (struct timeval){.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000}; }

/* The library has connected; from now on it, and the session, have the plain end of what leads to the right server. */
static int secure(struct broker *broker, amqp_socket_t *socket, const struct broker_url *url,
		  const struct tls_files *files, int limit_ms, struct err *err)
{
	int wire = amqp_socket_get_sockfd(socket), fd;

	amqp_tcp_socket_set_sockfd(socket, -1);
	if (tls_start(files, wire, url->host, NULL, &broker->tls, &fd, err))
		return err_prefix(err, "RabbitMQ at %s", broker->where);
	amqp_tcp_socket_set_sockfd(socket, fd);
	return tls_wait(broker->tls, limit_ms, err) ? err_prefix(err, "RabbitMQ at %s", broker->where) : 0;
}

static int reach(struct broker *broker, const struct broker_url *url, const struct tls_files *files, struct err *err)
{
	int first_ms = broker->timeout_ms < REACH_MS ? broker->timeout_ms : REACH_MS, status;
	struct timeval limit = timeval_of(broker->timeout_ms), first = timeval_of(first_ms);
	amqp_socket_t *socket;

	broker->conn = amqp_new_connection();
	socket = broker->conn ? amqp_tcp_socket_new(broker->conn) : NULL;
	if (!socket)
		return err_set(err, ERR_NOMEM, "out of memory");
	amqp_set_handshake_timeout(broker->conn, &first);
	amqp_set_rpc_timeout(broker->conn, &limit);
	status = amqp_socket_open_noblock(socket, url->host, url->port, &first);
	if (status)
		return err_set(err, ERR_SERVICE,
			       "cannot connect to RabbitMQ at %s: %s; is it running, and is the URL right (--amqp, "
			       "FLOTILLA_AMQP_URL)?",
			       broker->where, amqp_error_string2(status));
	return url->tls ? secure(broker, socket, url, files, first_ms, err) : 0;
}

/* From here on the session writes and keeps the heartbeats itself (session.h). What is sent keeps to the frames that
 * were agreed on; RabbitMQ does not, with headers that it has added to (x-delivery-count, x-death). */
static void take_over(struct broker *broker)
{
	broker->ours = true;
	broker->frame_max = (size_t)amqp_get_frame_max(broker->conn);
	amqp_tune_connection(broker->conn, amqp_get_channel_max(broker->conn), 2 * amqp_get_frame_max(broker->conn), 0);
}

int broker_open(const struct broker_options *options, struct broker **ret, struct err *err)
{
	struct broker_url url;
	struct broker *broker;
	int r = broker_url_parse(options->url, &url, err);

	if (r)
		return r;
	broker = xcalloc(1, sizeof *broker);
	broker->timeout_ms = options->timeout_ms ? options->timeout_ms : DEFAULT_TIMEOUT_MS;
	broker->where = broker_url_shown(options->url);
	broker->user = xstrdup(by_certificate(&url, options->tls) ? "" : url.user);
	r = reach(broker, &url, options->tls, err);
	if (!r)
		r = login(broker, &url, options, err);
	if (!r) {
		broker->fd = amqp_get_sockfd(broker->conn);
		broker->heartbeat_ms = (int64_t)amqp_get_heartbeat(broker->conn) * 1000;
		take_over(broker);
		*ret = broker;
	} else {
		broker_close(broker, false);
	}
	broker_url_release(&url);
	return r;
}

static void free_channels(struct broker *broker)
{
	for (size_t i = 0; i < broker->channel_count; i++) {
		buf_release(&broker->channels[i].body);
		buf_release(&broker->channels[i].text);
	}
	free(broker->channels);
}

struct broker *broker_close(struct broker *broker, bool polite)
{
	struct timeval second = {.tv_sec = 1};
	struct err ignored;

	if (!broker)
		return NULL;
	if (polite && !broker->dead) {
		broker->timeout_ms = 1000;
		amqp_set_rpc_timeout(broker->conn, &second);
		if (!session_settle(broker, &ignored))
			amqp_connection_close(broker->conn, AMQP_REPLY_SUCCESS);
	}
	if (broker->conn)
		amqp_destroy_connection(broker->conn);
	tls_close(broker->tls);
	free_channels(broker);
	buf_release(&broker->out);
	buf_release(&broker->properties);
	free(broker->entries);
	free(broker->where);
	free(broker->user);
	free(broker);
	return NULL;
}

struct assembly *session_channel(struct broker *broker, uint16_t channel)
{
	if (channel >= broker->channel_count) {
		size_t count = (size_t)channel + 1;
		broker->channels = xrealloc(broker->channels, count * sizeof *broker->channels);
		memset(broker->channels + broker->channel_count, 0,
		       (count - broker->channel_count) * sizeof *broker->channels);
		broker->channel_count = count;
	}
	return &broker->channels[channel];
}

int broker_channel(struct broker *broker, uint16_t channel, struct err *err)
{
	int r = session_alive(broker, err);
	if (!r)
		r = session_settle(broker, err);
	if (r)
		return r;
	session_channel(broker, channel)->stage = ASSEMBLY_NONE;
	amqp_channel_open(broker->conn, channel);
	return session_answer(broker, channel, "cannot open a channel", err);
}

int broker_confirm_select(struct broker *broker, uint16_t channel, struct err *err)
{
	int r = session_alive(broker, err);
	if (!r)
		r = session_settle(broker, err);
	if (r)
		return r;
	amqp_confirm_select(broker->conn, channel);
	return session_answer(broker, channel, "cannot switch to confirms", err);
}

int broker_queue_depth(struct broker *broker, uint16_t channel, const char *queue, int64_t *ret_messages,
		       int64_t *ret_consumers, struct err *err)
{
	const amqp_queue_declare_ok_t *ok;
	uint32_t messages = 0, consumers = 0;
	int r = session_alive(broker, err);

	if (!r)
		r = session_settle(broker, err);
	if (r)
		return r;
	ok = amqp_queue_declare(broker->conn, channel, text_bytes(queue), 1, 0, 0, 0, amqp_empty_table);
	if (ok) {
		messages = ok->message_count;
		consumers = ok->consumer_count;
	}
	r = session_answer(broker, channel, "cannot look at a queue", err);
	if (r)
		return r;
	*ret_messages = messages;
	*ret_consumers = consumers;
	return 0;
}
