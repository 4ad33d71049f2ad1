/* The loads of the benchmark, in C so that the client is not what is measured.
 *
 *   load raw URL QUEUE N       publish N messages of 256 bytes and consume and acknowledge them at the same time: a
 * quorum queue, persistent, confirms in a window of 1,000, acks in ranges. Prints seconds. load hop URL QUEUE N one
 * message at a time: publish, deliver, acknowledge. Prints seconds. load jobs URL EXCHANGE KEY PREFIX N    publish N
 * no-op jobs, confirmed as above, ids PREFIX-0 … Prints seconds.
 */
#include <amqp.h>
#include <amqp_tcp_socket.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define WINDOW 1000
#define BODY 256

static void die(const char *what)
{
	fprintf(stderr, "load: %s\n", what);
	exit(1);
}

static void check(amqp_connection_state_t conn, const char *what)
{
	amqp_rpc_reply_t reply = amqp_get_rpc_reply(conn);
	if (reply.reply_type != AMQP_RESPONSE_NORMAL)
		die(what);
}

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static amqp_connection_state_t open_connection(const char *url)
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

struct publishing {
	const char *url, *exchange, *key, *prefix; /* prefix NULL: raw bodies */
	long count;
};

static size_t job_body(char *body, const char *prefix, long i)
{
	char id[128];
	int len = snprintf(id, sizeof id, "%s-%ld", prefix, i);
	size_t n = 0;

	body[n++] = (char)0x82;
	memcpy(body + n, "\xa4task\xa4noop\xa2id\xd9", 14);
	n += 14;
	body[n++] = (char)len;
	memcpy(body + n, id, (size_t)len);
	return n + (size_t)len;
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
		if (ack->multiple) {
			*confirmed += ack->delivery_tag > *seen ? ack->delivery_tag - *seen : 0;
			*seen = ack->delivery_tag > *seen ? ack->delivery_tag : *seen;
		} else {
			*confirmed += 1;
			*seen = ack->delivery_tag > *seen ? ack->delivery_tag : *seen;
		}
	}
	amqp_maybe_release_buffers(conn);
}

static void *publish(void *data)
{
	struct publishing *p = data;
	amqp_connection_state_t conn = open_connection(p->url);
	amqp_basic_properties_t properties = {._flags = AMQP_BASIC_DELIVERY_MODE_FLAG | AMQP_BASIC_CONTENT_TYPE_FLAG,
					      .delivery_mode = 2,
					      .content_type = amqp_cstring_bytes("application/msgpack")};
	char body[BODY];
	uint64_t confirmed = 0, seen = 0;

	amqp_confirm_select(conn, 1);
	check(conn, "confirm.select");
	memset(body, 'x', sizeof body);
	for (long i = 0; i < p->count; i++) {
		amqp_bytes_t bytes = {sizeof body, body};
		if (p->prefix)
			bytes.len = job_body(body, p->prefix, i);
		if (amqp_basic_publish(conn, 1, amqp_cstring_bytes(p->exchange), amqp_cstring_bytes(p->key), 1, 0,
				       &properties, bytes) != AMQP_STATUS_OK)
			die("publish");
		if (i % 100 == 99)
			confirm(conn, (uint64_t)i + 1, &confirmed, &seen, WINDOW);
	}
	confirm(conn, (uint64_t)p->count, &confirmed, &seen, 0);
	amqp_connection_close(conn, AMQP_REPLY_SUCCESS);
	amqp_destroy_connection(conn);
	return NULL;
}

static amqp_connection_state_t consumer(const char *url, const char *queue, uint16_t prefetch)
{
	amqp_connection_state_t conn = open_connection(url);

	declare(conn, queue);
	amqp_basic_qos(conn, 1, 0, prefetch, 0);
	amqp_basic_consume(conn, 1, amqp_cstring_bytes(queue), amqp_empty_bytes, 0, 0, 0, amqp_empty_table);
	check(conn, "basic.consume");
	return conn;
}

static uint64_t next_delivery(amqp_connection_state_t conn)
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

static void raw(const char *url, const char *queue, long count)
{
	struct publishing p = {url, "", queue, NULL, count};
	amqp_connection_state_t conn = consumer(url, queue, 1000);
	pthread_t thread;
	double begin = now();

	pthread_create(&thread, NULL, publish, &p);
	for (long i = 1; i <= count; i++) {
		uint64_t tag = next_delivery(conn);
		if (i % 250 == 0 || i == count)
			amqp_basic_ack(conn, 1, tag, 1);
	}
	pthread_join(thread, NULL);
	printf("%.6f\n", now() - begin);
}

static void hop(const char *url, const char *queue, long count)
{
	amqp_connection_state_t in = consumer(url, queue, 1), out = open_connection(url);
	amqp_basic_properties_t properties = {._flags = AMQP_BASIC_DELIVERY_MODE_FLAG, .delivery_mode = 2};
	char body[BODY] = {0};
	amqp_bytes_t bytes = {sizeof body, body};
	double begin = now();

	for (long i = 0; i < count; i++) {
		amqp_basic_publish(out, 1, amqp_empty_bytes, amqp_cstring_bytes(queue), 0, 0, &properties, bytes);
		amqp_basic_ack(in, 1, next_delivery(in), 0);
	}
	printf("%.6f\n", now() - begin);
}

int main(int argc, char **argv)
{
	if (argc == 5 && strcmp(argv[1], "raw") == 0) {
		raw(argv[2], argv[3], strtol(argv[4], NULL, 10));
	} else if (argc == 5 && strcmp(argv[1], "hop") == 0) {
		hop(argv[2], argv[3], strtol(argv[4], NULL, 10));
	} else if (argc == 7 && strcmp(argv[1], "jobs") == 0) {
		struct publishing p = {argv[2], argv[3], argv[4], argv[5], strtol(argv[6], NULL, 10)};
		double begin = now();
		publish(&p);
		printf("%.6f\n", now() - begin);
	} else {
		die("see the head of bench/load.c");
	}
	return 0;
}
