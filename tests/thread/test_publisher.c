/* The publisher under the thread sanitizer: its thread and the loop hand each other some thousand messages and
 * questions, on the RabbitMQ of FLOTILLA_AMQP_URL. Exit code 0: all were called back, confirmed or returned as they
 * should. */
#include <stdio.h>
#include <stdlib.h>
#include <uv.h>

#include "broker/publisher.h"
#include "broker/topology.h"

#define INVITATIONS 3000
#define RETURNS 300

struct counts {
	int confirmed, returned, dropped, depths;
	int64_t messages;
};

static void on_done(void *data, enum publish_outcome outcome)
{
	struct counts *counts = data;
	if (outcome == PUBLISH_CONFIRMED)
		counts->confirmed++;
	else if (outcome == PUBLISH_RETURNED)
		counts->returned++;
	else
		counts->dropped++;
}

static void on_depth(void *data, int64_t messages, int64_t consumers)
{
	struct counts *counts = data;
	(void)consumers;
	counts->depths++;
	counts->messages = messages;
}

static void on_late(uv_timer_t *timer)
{
	(void)timer;
	fprintf(stderr, "not all was called back in time\n");
	exit(1);
}

static void hand_over(struct publisher *publisher, struct counts *counts)
{
	const struct broker_out nowhere = {
		.exchange = "", .routing_key = "thread-test-nobody", .body = "x", .body_len = 1, .message_id = "m"};
	char id[32];

	for (int i = 0; i < INVITATIONS; i++) {
		snprintf(id, sizeof id, "thread-%d", i);
		publisher_invite(publisher, id, "default", i % 2 ? "normal" : "low", "noop", on_done, counts);
		if (i % (INVITATIONS / RETURNS) == 0)
			publisher_send(publisher, &nowhere, on_done, counts);
	}
}

int main(void)
{
	const char *url = getenv("FLOTILLA_AMQP_URL");
	struct publisher_options options = {.broker = {.url = url}, .prefix = "threadtest"};
	struct publisher *publisher;
	struct counts counts = {0};
	char queue[TOPOLOGY_NAME_MAX];
	uv_timer_t limit;
	struct err err;

	if (!url || publisher_open(uv_default_loop(), &options, &publisher, &err) < 0)
		return 1;
	uv_timer_init(uv_default_loop(), &limit);
	uv_timer_start(&limit, on_late, 60000, 0);
	hand_over(publisher, &counts);
	while (counts.confirmed + counts.returned + counts.dropped < INVITATIONS + RETURNS)
		uv_run(uv_default_loop(), UV_RUN_ONCE);
	topology_queue(queue, "threadtest", "default", "normal");
	publisher_depth(publisher, queue, on_depth, &counts);
	while (counts.depths == 0)
		uv_run(uv_default_loop(), UV_RUN_ONCE);
	publisher_close(publisher, 5000);
	uv_close((uv_handle_t *)&limit, NULL);
	uv_run(uv_default_loop(), UV_RUN_DEFAULT);
	uv_loop_close(uv_default_loop());
	if (counts.confirmed == INVITATIONS && counts.returned == RETURNS && counts.messages > 0)
		return 0;
	fprintf(stderr, "confirmed %d, returned %d, dropped %d, messages %lld\n", counts.confirmed, counts.returned,
		counts.dropped, (long long)counts.messages);
	return 1;
}
