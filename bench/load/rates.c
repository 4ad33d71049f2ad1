/* How many a second: the broker alone, and jobs for a fleet. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "load.h"

/* A consumer that has done its part goes in order, so that nothing of it is left for the next round. */
static void close_connection(amqp_connection_state_t conn)
{
	amqp_connection_close(conn, AMQP_REPLY_SUCCESS);
	amqp_destroy_connection(conn);
}

static void raw(int argc, char **argv)
{
	struct publishing p = {
		.url = argv[0], .exchange = "", .key = argv[1], .body = raw_body, .count = strtol(argv[2], NULL, 10)};
	amqp_connection_state_t conn = open_consumer(argv[0], argv[1], 1000);
	pthread_t thread;
	double begin = now(), end;

	(void)argc;
	pthread_create(&thread, NULL, publish, &p);
	for (long i = 1; i <= p.count; i++) {
		uint64_t tag = next_delivery(conn);
		if (i % 250 == 0 || i == p.count)
			amqp_basic_ack(conn, 1, tag, 1);
	}
	pthread_join(thread, NULL);
	end = now();
	close_connection(conn);
	printf("%.6f\n", end - begin);
}

static void publish_raw(int argc, char **argv)
{
	struct publishing p = {
		.url = argv[0], .exchange = "", .key = argv[1], .body = raw_body, .count = strtol(argv[2], NULL, 10)};
	amqp_connection_state_t conn = open_consumer(argv[0], argv[1], 1);
	double begin;

	(void)argc;
	close_connection(conn);
	begin = now();
	publish(&p);
	printf("%.6f\n", now() - begin);
}

static void jobs(int argc, char **argv)
{
	struct publishing p = {.url = argv[0],
			       .exchange = argv[1],
			       .key = argv[2],
			       .prefix = argv[3],
			       .body = job_body,
			       .count = strtol(argv[4], NULL, 10),
			       .task = argc > 5 ? argv[5] : "noop"};
	double begin;

	if (argc > 6)
		p.args = (amqp_bytes_t){unhex(argv[6]), argv[6]};
	begin = now();
	publish(&p);
	printf("%.6f\n", now() - begin);
}

/* Standard input: each body behind its length, four bytes, the highest first. */
static amqp_bytes_t input_body(struct publishing *p, long i)
{
	static char body[1 << 20];
	unsigned char head[4];
	size_t len;

	(void)p;
	(void)i;
	if (fread(head, 1, sizeof head, stdin) != sizeof head)
		return amqp_empty_bytes;
	len = (size_t)head[0] << 24 | (size_t)head[1] << 16 | (size_t)head[2] << 8 | head[3];
	if (len > sizeof body || fread(body, 1, len, stdin) != len)
		die("standard input is no list of bodies");
	return (amqp_bytes_t){len, body};
}

static void bodies(int argc, char **argv)
{
	struct publishing p = {.url = argv[0], .exchange = argv[1], .key = argv[2], .body = input_body};
	double begin = now();

	(void)argc;
	publish(&p);
	printf("%.6f\n", now() - begin);
}

static void hop(int argc, char **argv)
{
	amqp_connection_state_t in = open_consumer(argv[0], argv[1], 1), out = open_connection(argv[0]);
	amqp_basic_properties_t properties = {._flags = AMQP_BASIC_DELIVERY_MODE_FLAG, .delivery_mode = 2};
	long count = strtol(argv[2], NULL, 10);
	char body[BODY] = {0};
	amqp_bytes_t bytes = {sizeof body, body};
	double begin = now(), end;

	(void)argc;
	for (long i = 0; i < count; i++) {
		amqp_basic_publish(out, 1, amqp_empty_bytes, amqp_cstring_bytes(argv[1]), 0, 0, &properties, bytes);
		amqp_basic_ack(in, 1, next_delivery(in), 0);
	}
	end = now();
	close_connection(in);
	close_connection(out);
	printf("%.6f\n", end - begin);
}

const struct load load_raw = {
	"raw",
	"URL QUEUE N: publish (confirmed), consume and acknowledge (in ranges) N messages at the same time; seconds", 3,
	raw};
const struct load load_publish = {"publish", "URL QUEUE N: publish, confirmed; nobody consumes; seconds", 3,
				  publish_raw};
const struct load load_jobs = {"jobs",
			       "URL EXCHANGE KEY PREFIX N [TASK [ARGS]]: publish N jobs, confirmed; ARGS is "
			       "MessagePack in hexadecimal; seconds",
			       5, jobs};
const struct load load_bodies = {"bodies", "URL EXCHANGE KEY: publish the bodies on standard input, confirmed; seconds",
				 3, bodies};
const struct load load_hop = {"hop", "URL QUEUE N: publish, deliver, acknowledge, one message at a time; seconds", 3,
			      hop};
