/* Connections of the loads, and publishing with confirms. */
#include <amqp_tcp_socket.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "load.h"

void die(const char *what)
{
	fprintf(stderr, "load: %s\n", what);
	exit(1);
}

void check(amqp_connection_state_t conn, const char *what)
{
	amqp_rpc_reply_t reply = amqp_get_rpc_reply(conn);
	if (reply.reply_type != AMQP_RESPONSE_NORMAL)
		die(what);
}

double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

amqp_connection_state_t open_connection(const char *url)
{
	char *copy = strdup(url);
	struct amqp_connection_info info;
	amqp_connection_state_t conn = amqp_new_connection();
	amqp_socket_t *socket = amqp_tcp_socket_new(conn);

	amqp_default_connection_info(&info);
	if (amqp_parse_url(copy, &info) != AMQP_STATUS_OK || amqp_socket_open(socket, info.host, info.port) != 0)
		die("cannot connect");
	if (amqp_login(conn, info.vhost[0] ? info.vhost : "/", 0, 131072, 60, AMQP_SASL_METHOD_PLAIN, info.user,
		       info.password)
		    .reply_type != AMQP_RESPONSE_NORMAL)
		die("cannot log in");
	amqp_channel_open(conn, 1);
	check(conn, "channel");
	free(copy);
	return conn;
}

static void declare(amqp_connection_state_t conn, const char *queue)
{
	amqp_table_entry_t entry = {.key = amqp_cstring_bytes("x-queue-type")};
	amqp_table_t arguments = {1, &entry};

	entry.value.kind = AMQP_FIELD_KIND_UTF8;
	entry.value.value.bytes = amqp_cstring_bytes("quorum");
	amqp_queue_declare(conn, 1, amqp_cstring_bytes(queue), 0, 1, 0, 0, arguments);
	check(conn, "queue.declare");
}

amqp_connection_state_t open_consumer(const char *url, const char *queue, uint16_t prefetch)
{
	amqp_connection_state_t conn = open_connection(url);

	declare(conn, queue);
	amqp_basic_qos(conn, 1, 0, prefetch, 0);
	amqp_basic_consume(conn, 1, amqp_cstring_bytes(queue), amqp_empty_bytes, 0, 0, 0, amqp_empty_table);
	check(conn, "basic.consume");
	return conn;
}

uint64_t next_delivery(amqp_connection_state_t conn)
{
	amqp_envelope_t envelope;
	uint64_t tag;

	amqp_maybe_release_buffers(conn);
	if (amqp_consume_message(conn, &envelope, NULL, 0).reply_type != AMQP_RESPONSE_NORMAL)
		die("consume");
	tag = envelope.delivery_tag;
	amqp_destroy_envelope(&envelope);
	return tag;
}

static size_t text(char *to, const char *value)
{
	size_t len = strlen(value);

	if (len > 100)
		die("a name is too long");
	to[0] = (char)0xd9;
	to[1] = (char)len;
	memcpy(to + 2, value, len);
	return len + 2;
}

amqp_bytes_t raw_body(struct publishing *p, long i)
{
	return i < p->count ? (amqp_bytes_t){BODY, p->buffer} : amqp_empty_bytes;
}

amqp_bytes_t job_body(struct publishing *p, long i)
{
	char id[100], *body = p->buffer;
	size_t n = 0;

	if (i >= p->count)
		return amqp_empty_bytes;
	snprintf(id, sizeof id, "%s-%ld", p->prefix, i);
	if (strlen(p->task) + strlen(id) + p->args.len + 24 > BODY)
		die("a job is too large");
	body[n++] = (char)(p->args.len ? 0x83 : 0x82);
	n += text(body + n, "task");
	n += text(body + n, p->task);
	n += text(body + n, "id");
	n += text(body + n, id);
	if (p->args.len) {
		n += text(body + n, "args");
		memcpy(body + n, p->args.bytes, p->args.len);
		n += p->args.len;
	}
	return (amqp_bytes_t){n, body};
}

size_t unhex(char *digits)
{
	size_t len = strlen(digits) / 2;

	for (size_t i = 0; i < len; i++) {
		char pair[3] = {digits[2 * i], digits[2 * i + 1], 0};
		digits[i] = (char)strtoul(pair, NULL, 16);
	}
	return len;
}

/* Reads confirms until at most `allowed` publishes are unconfirmed. */
static void confirm(amqp_connection_state_t conn, uint64_t published, uint64_t *confirmed, uint64_t *seen,
		    uint64_t allowed)
{
	amqp_frame_t frame;

	while (published - *confirmed > allowed) {
		if (amqp_simple_wait_frame(conn, &frame) != AMQP_STATUS_OK)
			die("connection lost");
		if (frame.frame_type != AMQP_FRAME_METHOD || frame.payload.method.id != AMQP_BASIC_ACK_METHOD)
			continue;
		amqp_basic_ack_t *ack = frame.payload.method.decoded;
		/* one queue on one channel: what is confirmed below a multiple ack was not confirmed before it */
		if (ack->multiple)
			*confirmed += ack->delivery_tag > *seen ? ack->delivery_tag - *seen : 0;
		else
			*confirmed += 1;
		*seen = ack->delivery_tag > *seen ? ack->delivery_tag : *seen;
	}
	amqp_maybe_release_buffers(conn);
}

void *publish(void *data)
{
	struct publishing *p = data;
	amqp_connection_state_t conn = open_connection(p->url);
	amqp_basic_properties_t properties = {._flags = AMQP_BASIC_DELIVERY_MODE_FLAG | AMQP_BASIC_CONTENT_TYPE_FLAG,
					      .delivery_mode = 2,
					      .content_type = amqp_cstring_bytes("application/msgpack")};
	amqp_bytes_t bytes;
	uint64_t published = 0, confirmed = 0, seen = 0;

	amqp_confirm_select(conn, 1);
	check(conn, "confirm.select");
	while ((bytes = p->body(p, (long)published)).bytes) {
		if (amqp_basic_publish(conn, 1, amqp_cstring_bytes(p->exchange), amqp_cstring_bytes(p->key), 1, 0,
				       &properties, bytes) != AMQP_STATUS_OK)
			die("publish");
		if (++published % 100 == 0)
			confirm(conn, published, &confirmed, &seen, WINDOW);
	}
	confirm(conn, published, &confirmed, &seen, 0);
	amqp_connection_close(conn, AMQP_REPLY_SUCCESS);
	amqp_destroy_connection(conn);
	return NULL;
}
