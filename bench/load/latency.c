/* One at a time, with a pause before each so that the fleet is idle when it comes: microseconds of each, one a line. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "load.h"

static void send_to(amqp_connection_state_t out, const char *exchange, const char *key, const char *reply_to,
		    amqp_bytes_t body)
{
	amqp_basic_properties_t properties = {._flags = AMQP_BASIC_DELIVERY_MODE_FLAG | AMQP_BASIC_CONTENT_TYPE_FLAG,
					      .delivery_mode = 2,
					      .content_type = amqp_cstring_bytes("application/msgpack")};

	if (reply_to) {
		properties._flags |= AMQP_BASIC_REPLY_TO_FLAG;
		properties.reply_to = amqp_cstring_bytes(reply_to);
	}
	if (amqp_basic_publish(out, 1, amqp_cstring_bytes(exchange), amqp_cstring_bytes(key), 0, 0, &properties,
			       body) != AMQP_STATUS_OK)
		die("publish");
}

static void latency(int argc, char **argv)
{
	struct publishing p = {.count = LONG_MAX, .prefix = argv[3], .task = argc > 7 ? argv[7] : "noop"};
	amqp_connection_state_t out = open_connection(argv[0]), in = open_consumer(argv[0], argv[4], 1);
	long count = strtol(argv[5], NULL, 10);
	useconds_t pause_us = (useconds_t)strtoul(argv[6], NULL, 10);

	for (long i = 0; i < count; i++) {
		amqp_bytes_t bytes = job_body(&p, i);
		double begin;

		usleep(pause_us);
		begin = now();
		send_to(out, argv[1], argv[2], argv[4], bytes);
		uint64_t tag = next_delivery(in);
		printf("%.1f\n", (now() - begin) * 1e6);
		amqp_basic_ack(in, 1, tag, 0);
	}
}

static void hops(int argc, char **argv)
{
	amqp_connection_state_t out = open_connection(argv[0]), first = open_consumer(argv[0], argv[1], 1),
				second = open_consumer(argv[0], argv[2], 1);
	long count = strtol(argv[3], NULL, 10);
	useconds_t pause_us = (useconds_t)strtoul(argv[4], NULL, 10);
	char body[BODY] = {0};
	amqp_bytes_t bytes = {sizeof body, body};

	(void)argc;
	for (long i = 0; i < count; i++) {
		usleep(pause_us);
		double begin = now();
		send_to(out, "", argv[1], NULL, bytes);
		uint64_t tag = next_delivery(first);
		send_to(out, "", argv[2], NULL, bytes);
		amqp_basic_ack(first, 1, tag, 0);
		tag = next_delivery(second);
		printf("%.1f\n", (now() - begin) * 1e6);
		amqp_basic_ack(second, 1, tag, 0);
	}
}

const struct load load_latency = {
	"latency",
	"URL EXCHANGE KEY PREFIX REPLIES N PAUSE_US [TASK]: from a job's publish to its reply, one at a time", 7,
	latency};
const struct load load_hops = {
	"hops", "URL QUEUE QUEUE N PAUSE_US: from a message's publish to its delivery by way of the second queue", 5,
	hops};
