/* The broker's session, topology and publisher against a real RabbitMQ, named by FLOTILLA_AMQP_URL. Each test has a
 * prefix of its own. What kills a broker starts one of its own. */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "broker/broker.h"
#include "broker/publisher.h"
#include "broker/topology.h"
#include "scratch.h"

extern char **environ;

enum { LIMIT_MS = 20000 };

static const char *amqp_url(void)
{
	const char *url = getenv("FLOTILLA_AMQP_URL");
	cr_assert(url != NULL, "FLOTILLA_AMQP_URL is not set; run: eval \"$(scripts/services env)\"");
	return url;
}

struct fixture {
	struct broker *broker;
	char prefix[24];
	char queue[TOPOLOGY_NAME_MAX];
	struct err err;
};

static void choose_prefix(char *prefix)
{
	prefix[0] = 't';
	random_hex(prefix + 1, 8);
}

static struct broker *open_url(const char *url)
{
	struct err err;
	struct broker *broker = NULL;
	struct broker_options options = {.url = url, .name = "test_broker"};
	int r = broker_open(&options, &broker, &err);
	cr_assert(r == 0, "%s", err.text);
	r = broker_channel(broker, 1, &err);
	cr_assert(r == 0, "%s", err.text);
	return broker;
}

static struct fixture begin(void)
{
	struct fixture f = {.broker = open_url(amqp_url())};
	choose_prefix(f.prefix);
	topology_queue(f.queue, f.prefix, "default", "normal");
	return f;
}

static void declare(struct fixture *f)
{
	int r = topology_declare_fleet(f->broker, 1, f->prefix, &f->err);
	if (!r)
		r = topology_declare_queue(f->broker, 1, f->prefix, "default", "normal", &f->err);
	cr_assert(r == 0, "%s", f->err.text);
}

/* The next event, waiting for it. */
static struct broker_event expect(struct broker *broker, enum broker_event_kind kind)
{
	struct broker_event event;
	struct err err;
	int64_t end = clock_mono_ms() + LIMIT_MS;

	for (;;) {
		struct pollfd fd = {.fd = broker_fd(broker), .events = POLLIN};
		int r = broker_next(broker, &event, &err);
		cr_assert(r == 0, "%s", err.text);
		if (event.kind != BROKER_NOTHING)
			break;
		cr_assert(clock_mono_ms() < end, "event %d does not come", kind);
		poll(&fd, 1, 500);
	}
	cr_assert(event.kind == kind, "event %d where %d was expected: %s", event.kind, kind, event.text);
	return event;
}

static void publish(struct fixture *f, const char *exchange, const char *key, const char *body)
{
	struct broker_out out = {
		.exchange = exchange, .routing_key = key, .body = body, .body_len = strlen(body), .message_id = "m1"};
	int r = broker_publish(f->broker, 1, &out, &f->err);
	cr_assert(r == 0, "%s", f->err.text);
}

static void clear(struct fixture *f) { broker_close(f->broker, true); }

Test(broker, declares_twice)
{
	struct fixture f = begin();
	declare(&f);
	declare(&f);
	clear(&f);
}

Test(broker, names_the_difference_to_another_declaration)
{
	struct fixture f = begin();
	/* The low queue's name is what the returned queue of another prefix is called. */
	char prefix[64], name[TOPOLOGY_NAME_MAX];
	int r;

	declare(&f);
	snprintf(prefix, sizeof prefix, "%s.p", f.prefix);
	r = topology_declare_queue(f.broker, 1, f.prefix, "p", "returned", &f.err);
	cr_assert(r == 0, "%s", f.err.text);
	topology_returned(name, prefix);
	r = topology_declare_fleet(f.broker, 1, prefix, &f.err);
	cr_assert(r == ERR_REFUSED);
	cr_assert(strstr(f.err.text, name), "%s", f.err.text);
	cr_assert(strstr(f.err.text, "x-"), "%s", f.err.text);
	cr_assert(strstr(f.err.text, "declared otherwise"), "%s", f.err.text);
	/* The session can be used after it. */
	declare(&f);
	clear(&f);
}

Test(broker, depth_of_queues)
{
	struct fixture f = begin();
	int64_t messages = 7, consumers = 7;
	int r = broker_queue_depth(f.broker, 1, f.queue, &messages, &consumers, &f.err);
	cr_assert(r == ERR_NOT_FOUND, "%s", f.err.text);
	cr_assert(messages == 7);
	declare(&f);
	r = broker_queue_depth(f.broker, 1, f.queue, &messages, &consumers, &f.err);
	cr_assert(r == 0 && messages == 0 && consumers == 0, "%s", f.err.text);
	clear(&f);
}

Test(broker, publishes_and_consumes_ten_thousand)
{
	enum { COUNT = 10000 };
	struct fixture f = begin();
	struct err err;
	int64_t began, confirmed_at;
	int confirmed = 0, delivered = 0;
	int64_t messages, consumers;
	char body[300];
	struct broker_out out = {.exchange = "", .routing_key = f.queue, .body = body, .body_len = sizeof body};

	memset(body, 'x', sizeof body);
	declare(&f);
	broker_confirm_select(f.broker, 1, &err);
	began = clock_mono_ms();
	for (int i = 0; i < COUNT; i++)
		cr_assert(broker_publish(f.broker, 1, &out, &err) == 0);
	while (confirmed < COUNT) {
		struct broker_event event = expect(f.broker, BROKER_ACK);
		confirmed = event.multiple || (int)event.tag == confirmed + 1 ? (int)event.tag : confirmed + 1;
	}
	confirmed_at = clock_mono_ms();
	broker_qos(f.broker, 1, 500, &err);
	broker_consume(f.broker, 1, f.queue, "c1", &err);
	expect(f.broker, BROKER_QOS_OK);
	expect(f.broker, BROKER_CONSUME_OK);
	while (delivered < COUNT) {
		struct broker_event event = expect(f.broker, BROKER_DELIVERY);
		cr_assert(event.message.body_len == sizeof body);
		cr_assert(memcmp(event.message.body, body, sizeof body) == 0);
		cr_assert(strcmp(event.consumer_tag, "c1") == 0);
		cr_assert(broker_ack(f.broker, 1, event.tag, false, &err) == 0);
		delivered++;
	}
	cr_log_info("%d published and confirmed in %" PRId64 " ms, consumed and acked in %" PRId64 " ms", COUNT,
		    confirmed_at - began, clock_mono_ms() - confirmed_at);
	broker_cancel(f.broker, 1, "c1", &err);
	expect(f.broker, BROKER_CANCEL_OK);
	/* The acks have arrived: nothing is left. */
	clear(&f);
	f.broker = open_url(amqp_url());
	cr_assert(broker_queue_depth(f.broker, 1, f.queue, &messages, &consumers, &err) == 0);
	cr_assert(messages == 0 && consumers == 0);
	clear(&f);
}

Test(broker, large_and_empty_bodies)
{
	struct fixture f = begin();
	struct err err;
	const size_t sizes[] = {0, 1, 131064, 131065, 262128, 1048576, 3000000};
	CLEANUP(freep) char *body = malloc(3000000);

	for (size_t i = 0; i < 3000000; i++)
		body[i] = (char)(i * 7 + i / 251);
	declare(&f);
	broker_consume(f.broker, 1, f.queue, "c1", &err);
	expect(f.broker, BROKER_CONSUME_OK);
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		struct broker_out out = {
			.exchange = f.prefix, .routing_key = "default.normal", .body = body, .body_len = sizes[i]};
		struct broker_event event;
		cr_assert(broker_publish(f.broker, 1, &out, &err) == 0, "%s", err.text);
		event = expect(f.broker, BROKER_DELIVERY);
		cr_assert(event.message.body_len == sizes[i]);
		cr_assert(memcmp(event.message.body, body, sizes[i]) == 0);
		broker_ack(f.broker, 1, event.tag, false, &err);
	}
	clear(&f);
}

Test(broker, unroutable_comes_back_before_its_ack)
{
	struct fixture f = begin();
	struct broker_event event;
	struct err err;

	broker_confirm_select(f.broker, 1, &err);
	publish(&f, "", f.queue, "nobody");
	event = expect(f.broker, BROKER_RETURN);
	cr_assert(strcmp(event.message.routing_key, f.queue) == 0);
	cr_assert(strcmp(event.message.body, "nobody") == 0);
	cr_assert(strcmp(event.message.message_id, "m1") == 0);
	cr_assert(event.message.type == NULL);
	event = expect(f.broker, BROKER_ACK);
	cr_assert(event.tag == 1);
	clear(&f);
}

Test(broker, the_fleets_exchange_keeps_what_no_queue_takes)
{
	struct fixture f = begin();
	int64_t messages = 0, consumers, end = clock_mono_ms() + LIMIT_MS;
	char unrouted[TOPOLOGY_NAME_MAX];

	declare(&f);
	topology_unrouted(unrouted, f.prefix);
	broker_confirm_select(f.broker, 1, &f.err);
	publish(&f, f.prefix, "nopool.normal", "later");
	expect(f.broker, BROKER_ACK);
	/* A quorum queue's count follows a moment later. */
	while (messages != 1 && clock_mono_ms() < end)
		cr_assert(broker_queue_depth(f.broker, 1, unrouted, &messages, &consumers, &f.err) == 0);
	cr_assert(messages == 1);
	clear(&f);
}

Test(broker, a_copy_keeps_properties_and_headers)
{
	struct fixture f = begin();
	struct broker_event event;
	void *like;
	struct broker_header headers[] = {{.key = "x-flotilla-reason", .text = "bad"},
					  {.key = "x-flotilla-returned", .number = 2}};
	struct broker_out out = {.exchange = "",
				 .routing_key = f.queue,
				 .body = "a",
				 .body_len = 1,
				 .content_type = "application/json",
				 .correlation_id = "c\0d",
				 .correlation_len = 3,
				 .headers = headers,
				 .header_count = 2};
	declare(&f);
	broker_consume(f.broker, 1, f.queue, "c1", &f.err);
	expect(f.broker, BROKER_CONSUME_OK);
	broker_publish(f.broker, 1, &out, &f.err);
	event = expect(f.broker, BROKER_DELIVERY);
	cr_assert(event.message.returned == 2);
	like = broker_properties_copy(event.message.properties);
	broker_ack(f.broker, 1, event.tag, false, &f.err);
	headers[1].number = 3;
	out = (struct broker_out){.exchange = "",
				  .routing_key = f.queue,
				  .body = "b",
				  .body_len = 1,
				  .like = like,
				  .headers = headers + 1,
				  .header_count = 1};
	broker_publish(f.broker, 1, &out, &f.err);
	broker_properties_free(like);
	event = expect(f.broker, BROKER_DELIVERY);
	cr_assert(event.message.returned == 3);
	cr_assert(strcmp(event.message.content_type, "application/json") == 0);
	cr_assert(event.message.correlation_len == 3 && memcmp(event.message.correlation_id, "c\0d", 3) == 0);
	cr_assert(event.message.message_id == NULL && event.message.reply_to == NULL);
	clear(&f);
}

/* --- scripts/services, for what the session has no call for --------------------------------------------------------
 */

static int run(char *const argv[])
{
	pid_t pid;
	int status;
	if (posix_spawn(&pid, argv[0], NULL, NULL, argv, environ))
		return -1;
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* 0 where it went well. */
static int services(const char *dir, const char *verb, const char *name)
{
	char *argv[] = {(char *)"scripts/services", (char *)verb, (char *)"--dir", (char *)dir, (char *)name, NULL};
	return run(argv);
}

/* Starts servers of their own in `dir` (SCRATCH_SIZE bytes); `url` has 128. Returns the broker's pid. */
static int new_services(char *dir, char *url)
{
	CLEANUP(fclosep) FILE *file = NULL;
	char path[SCRATCH_SIZE + 8], line[SCRATCH_SIZE + 64];
	int pid = 0;

	scratch_dir(dir, "flotilla-broker");
	cr_assert(services(dir, "up", NULL) == 0);
	snprintf(path, sizeof path, "%s/env", dir);
	file = fopen(path, "r");
	cr_assert(file);
	*url = '\0';
	while (fgets(line, sizeof line, file)) {
		sscanf(line, "FLOTILLA_AMQP_URL='%127[^']'", url);
		sscanf(line, "FLOTILLA_RABBITMQ_PID=%d", &pid);
	}
	cr_assert(*url && pid > 0, "no URL or pid in %s", path);
	return pid;
}

/* rabbitmqctl with up to four words. */
static void control(const char *dir, const char *verb, const char *a, const char *b, const char *c, const char *d)
{
	char *argv[] = {(char *)"scripts/services",
			(char *)"rabbitmqctl",
			(char *)"--dir",
			(char *)dir,
			(char *)"-q",
			(char *)verb,
			(char *)a,
			(char *)b,
			(char *)c,
			(char *)d,
			NULL};
	cr_assert(run(argv) == 0, "rabbitmqctl %s", verb);
}

/* The instance that all tests share; skips the test where the servers are not those of scripts/services. */
static const char *shared_services(void)
{
	const char *dir = getenv("FLOTILLA_SERVICES_DIR");
	if (!dir)
		cr_skip_test("needs the servers of scripts/services");
	return dir;
}

static void delete_queue(const char *queue) { control(shared_services(), "delete_queue", queue, NULL, NULL, NULL); }

Test(broker, a_deleted_queue_cancels_its_consumer)
{
	struct fixture f = begin();
	struct broker_event event;

	shared_services();
	declare(&f);
	broker_consume(f.broker, 1, f.queue, "c1", &f.err);
	expect(f.broker, BROKER_CONSUME_OK);
	delete_queue(f.queue);
	event = expect(f.broker, BROKER_CANCELLED);
	cr_assert(strcmp(event.consumer_tag, "c1") == 0);
	clear(&f);
}

Test(broker, a_mark_goes_with_its_queue)
{
	struct fixture f = begin();
	int r;

	shared_services();
	declare(&f);
	cr_assert(topology_marked(f.broker, 1, f.queue, &f.err) == ERR_NOT_FOUND);
	for (int i = 0; i < 2; i++) {
		r = topology_mark(f.broker, 1, f.queue, &f.err);
		cr_assert(r == 0, "%s", f.err.text);
		r = topology_marked(f.broker, 1, f.queue, &f.err);
		cr_assert(r == 0, "%s", f.err.text);
	}
	delete_queue(f.queue);
	declare(&f);
	cr_assert(topology_marked(f.broker, 1, f.queue, &f.err) == ERR_NOT_FOUND);
	clear(&f);
}

Test(broker, without_the_right_to_declare_what_exists_will_do)
{
	struct fixture f = begin();
	const char *dir = shared_services();
	char url[256];
	int port = 0, r;

	declare(&f);
	clear(&f);
	cr_assert(sscanf(strrchr(amqp_url(), ':'), ":%d", &port) == 1);
	control(dir, "add_user", f.prefix, "p", NULL, NULL);
	control(dir, "set_permissions", f.prefix, "", ".*", "");
	snprintf(url, sizeof url, "amqp://%s:p@127.0.0.1:%d/", f.prefix, port);
	f.broker = open_url(url);
	declare(&f);
	r = topology_declare_queue(f.broker, 1, f.prefix, "other", "normal", &f.err);
	cr_assert(r == ERR_REFUSED, "%s", f.err.text);
	cr_assert(strstr(f.err.text, "no right to declare"), "%s", f.err.text);
	clear(&f);
	control(dir, "delete_user", f.prefix, NULL, NULL, NULL);
}

Test(broker, a_closed_channel_is_told_and_can_be_opened_again)
{
	struct fixture f = begin();
	struct broker_event event;

	broker_ack(f.broker, 1, 99, false, &f.err);
	event = expect(f.broker, BROKER_CHANNEL_CLOSED);
	cr_assert(event.channel == 1);
	cr_assert(strstr(event.text, "unknown delivery tag"), "%s", event.text);
	cr_assert(broker_channel(f.broker, 1, &f.err) == 0, "%s", f.err.text);
	declare(&f);
	clear(&f);
}

static int try_open(const char *url, struct err *err)
{
	struct broker *broker = NULL;
	struct broker_options options = {.url = url, .timeout_ms = 3000};
	int r = broker_open(&options, &broker, err);
	broker_close(broker, true);
	return r;
}

Test(broker, failures_to_open)
{
	struct err err;
	char url[256];
	int port = 0;

	cr_assert(sscanf(strrchr(amqp_url(), ':'), ":%d", &port) == 1);
	snprintf(url, sizeof url, "amqp://guest:sesame@127.0.0.1:%d/", port);
	cr_assert(try_open(url, &err) == ERR_REFUSED, "%s", err.text);
	cr_assert(strstr(err.text, "ACCESS_REFUSED"), "%s", err.text);
	cr_assert(!strstr(err.text, "sesame"), "%s", err.text);
	snprintf(url, sizeof url, "amqp://guest:guest@127.0.0.1:%d/nowhere", port);
	cr_assert(try_open(url, &err) == ERR_REFUSED, "%s", err.text);
	cr_assert(strstr(err.text, "nowhere"), "%s", err.text);
	/* A port that nobody listens on, and a server that is none. */
	cr_assert(try_open("amqp://guest:guest@127.0.0.1:1/", &err) == ERR_SERVICE, "%s", err.text);
	cr_assert(try_open("amqp://guest:guest@nowhere.invalid/", &err) == ERR_SERVICE, "%s", err.text);
	cr_assert(try_open("http://x", &err) == ERR_USAGE, "%s", err.text);
}

/* A listener that accepts and says nothing. */
Test(broker, an_answer_that_does_not_come_has_a_limit)
{
	struct err err;
	char url[128];
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof address;
	int64_t began = clock_mono_ms();
	CLEANUP(closep) int fd = socket(AF_INET, SOCK_STREAM, 0);

	cr_assert(bind(fd, (struct sockaddr *)&address, sizeof address) == 0 && listen(fd, 1) == 0);
	cr_assert(getsockname(fd, (struct sockaddr *)&address, &len) == 0);
	snprintf(url, sizeof url, "amqp://guest:guest@127.0.0.1:%d/", ntohs(address.sin_port));
	cr_assert(try_open(url, &err) == ERR_SERVICE, "%s", err.text);
	cr_assert(clock_mono_ms() - began < 8000);
}

/* The library's own heartbeats are off: nobody closes an idle connection all the same, and a frozen broker is seen. */
Test(broker, heartbeats, .timeout = 60)
{
	struct err err;
	struct broker *broker;
	struct broker_event event;
	struct broker_options options = {.url = amqp_url(), .heartbeat_s = 1};
	int64_t end, messages, consumers;

	cr_assert(broker_open(&options, &broker, &err) == 0, "%s", err.text);
	cr_assert(broker_channel(broker, 1, &err) == 0);
	end = clock_mono_ms() + 5000;
	while (clock_mono_ms() < end) {
		struct pollfd fd = {.fd = broker_fd(broker), .events = POLLIN};
		cr_assert(broker_next(broker, &event, &err) == 0, "%s", err.text);
		poll(&fd, 1, 250);
	}
	cr_assert(broker_queue_depth(broker, 1, "nothing", &messages, &consumers, &err) == ERR_NOT_FOUND);
	broker_close(broker, true);
}

/* --- the publisher --------------------------------------------------------------------------------------------------
 */

struct watch {
	uv_loop_t loop;
	struct publisher *publisher;
	size_t confirmed, returned, dropped;
	int64_t messages, consumers;
	int ups, downs, last_code;
	bool answered;
};

static void on_state(void *data, bool up, const struct err *err)
{
	struct watch *w = data;
	w->ups += up;
	w->downs += !up;
	if (!up)
		w->last_code = err->code;
}

static void on_done(void *data, enum publish_outcome outcome)
{
	struct watch *w = data;
	w->confirmed += outcome == PUBLISH_CONFIRMED;
	w->returned += outcome == PUBLISH_RETURNED;
	w->dropped += outcome == PUBLISH_DROPPED;
}

static void on_depth(void *data, int64_t messages, int64_t consumers)
{
	struct watch *w = data;
	w->messages = messages;
	w->consumers = consumers;
	w->answered = true;
}

static void watch_open(struct watch *w, const char *url, const char *prefix)
{
	struct err err;
	struct publisher_options options = {.broker = {.url = url, .name = "test", .heartbeat_s = 2},
					    .prefix = prefix,
					    .state = on_state,
					    .data = w};
	memset(w, 0, sizeof *w);
	uv_loop_init(&w->loop);
	cr_assert(publisher_open(&w->loop, &options, &w->publisher, &err) == 0, "%s", err.text);
}

static void on_tick(uv_timer_t *timer) { (void)timer; }

/* Runs the loop until all that was handed over is called back. */
static void watch_all(struct watch *w, int64_t limit_ms)
{
	int64_t end = clock_mono_ms() + limit_ms;
	uv_timer_t timer;
	uv_timer_init(&w->loop, &timer);
	uv_timer_start(&timer, on_tick, 20, 20);
	while (publisher_pending(w->publisher) && clock_mono_ms() < end)
		uv_run(&w->loop, UV_RUN_ONCE);
	uv_close((uv_handle_t *)&timer, NULL);
	uv_run(&w->loop, UV_RUN_NOWAIT);
	cr_assert(publisher_pending(w->publisher) == 0, "%zu not called back", publisher_pending(w->publisher));
}

static void watch_close(struct watch *w)
{
	publisher_close(w->publisher, 1000);
	uv_run(&w->loop, UV_RUN_DEFAULT);
	cr_assert(uv_loop_close(&w->loop) == 0);
}

Test(publisher, confirms_at_the_raw_rate)
{
	enum { COUNT = 20000 };
	struct watch w;
	char prefix[24], id[32];
	int64_t began;

	choose_prefix(prefix);
	watch_open(&w, amqp_url(), prefix);
	publisher_invite(w.publisher, "first", "default", "normal", NULL, on_done, &w);
	watch_all(&w, LIMIT_MS);
	began = clock_mono_ms();
	for (int i = 0; i < COUNT; i++) {
		snprintf(id, sizeof id, "job-%d", i);
		publisher_invite(w.publisher, id, "default", i % 2 ? "normal" : "low", NULL, on_done, &w);
	}
	watch_all(&w, LIMIT_MS);
	cr_log_info("%d invitations confirmed in %" PRId64 " ms", COUNT, clock_mono_ms() - began);
	cr_assert(w.confirmed == COUNT + 1 && w.returned == 0);
	cr_assert(w.ups == 1 && w.downs == 0 && publisher_up(w.publisher));
	watch_close(&w);
}

Test(publisher, tells_confirmed_from_returned)
{
	struct watch good = {0}, bad = {0}, w;
	struct fixture f = begin();

	declare(&f);
	watch_open(&w, amqp_url(), f.prefix);
	for (int i = 0; i < 600; i++) {
		char body[16];
		struct broker_out out = {.exchange = "", .routing_key = i % 3 ? f.queue : "gone", .body = body};
		out.body_len = (size_t)snprintf(body, sizeof body, "%d", i / 10);
		publisher_send(w.publisher, &out, on_done, i % 3 ? &good : &bad);
	}
	watch_all(&w, LIMIT_MS);
	cr_assert(good.confirmed == 400 && good.returned == 0);
	cr_assert(bad.returned == 200 && bad.confirmed == 0);
	watch_close(&w);
	clear(&f);
}

Test(publisher, an_exchange_that_does_not_exist_harms_nothing_else)
{
	struct watch good = {0}, bad = {0}, w;
	struct fixture f = begin();

	declare(&f);
	watch_open(&w, amqp_url(), f.prefix);
	for (int i = 0; i < 50; i++) {
		struct broker_out out = {.exchange = i == 20 || i == 33 ? "no-such-exchange" : "",
					 .routing_key = f.queue,
					 .body = "x",
					 .body_len = 1};
		publisher_send(w.publisher, &out, on_done, *out.exchange ? &bad : &good);
	}
	watch_all(&w, LIMIT_MS);
	cr_assert(good.confirmed == 48 && bad.returned == 2);
	watch_close(&w);
	clear(&f);
}

Test(publisher, declares_the_queue_of_an_invitation_again)
{
	struct watch w;
	char prefix[24], queue[TOPOLOGY_NAME_MAX];

	shared_services();
	choose_prefix(prefix);
	topology_queue(queue, prefix, "default", "high");
	watch_open(&w, amqp_url(), prefix);
	publisher_invite(w.publisher, "a", "default", "high", NULL, on_done, &w);
	watch_all(&w, LIMIT_MS);
	delete_queue(queue);
	publisher_invite(w.publisher, "b", "default", "high", NULL, on_done, &w);
	watch_all(&w, LIMIT_MS);
	cr_assert(w.confirmed == 2 && w.returned == 0);
	publisher_depth(w.publisher, queue, on_depth, &w);
	watch_all(&w, LIMIT_MS);
	cr_assert(w.answered && w.messages <= 1 && w.messages >= 0 && w.consumers == 0);
	publisher_depth(w.publisher, "no-such-queue", on_depth, &w);
	watch_all(&w, LIMIT_MS);
	cr_assert(w.messages == -1);
	watch_close(&w);
}

Test(publisher, without_a_broker)
{
	struct watch w;
	int64_t began = clock_mono_ms();

	watch_open(&w, "amqp://guest:guest@127.0.0.1:1/", "x");
	publisher_depth(w.publisher, "q", on_depth, &w);
	watch_all(&w, LIMIT_MS);
	cr_assert(w.messages == -2);
	cr_assert(w.downs == 1 && w.last_code == ERR_SERVICE && !publisher_up(w.publisher));
	for (int i = 0; i < 10; i++)
		publisher_invite(w.publisher, "a", "default", "high", NULL, on_done, &w);
	publisher_depth(w.publisher, "q", on_depth, &w);
	publisher_close(w.publisher, 300);
	uv_run(&w.loop, UV_RUN_DEFAULT);
	cr_assert(uv_loop_close(&w.loop) == 0);
	cr_assert(w.dropped == 10);
	cr_assert(clock_mono_ms() - began < 5000);
}

Test(publisher, close_waits_for_what_is_under_way)
{
	struct watch w;
	char prefix[24];

	choose_prefix(prefix);
	watch_open(&w, amqp_url(), prefix);
	for (int i = 0; i < 2000; i++)
		publisher_invite(w.publisher, "a", "default", "high", NULL, on_done, &w);
	publisher_close(w.publisher, 15000);
	cr_assert(w.confirmed == 2000 && w.dropped == 0);
	uv_run(&w.loop, UV_RUN_DEFAULT);
	cr_assert(uv_loop_close(&w.loop) == 0);
}

/* The broker is killed while it is published to, and started again: all is confirmed, and all is there. */
Test(publisher, survives_the_brokers_death, .timeout = 180)
{
	enum { COUNT = 30000 };
	struct watch w;
	struct fixture f;
	char dir[SCRATCH_SIZE], url[128];
	int64_t messages = 0, consumers, end;
	struct broker *broker;
	struct err err;

	new_services(dir, url);
	choose_prefix(f.prefix);
	topology_queue(f.queue, f.prefix, "default", "normal");
	/* RabbitMQ 3.10 may bring a queue back without a leader if it is killed within seconds of its declaration. A
	 * clean restart writes what it needs. */
	f.broker = open_url(url);
	declare(&f);
	clear(&f);
	cr_assert(services(dir, "restart", "rabbitmq") == 0);
	watch_open(&w, url, f.prefix);
	for (int i = 0; i < COUNT; i++) {
		char id[32];
		snprintf(id, sizeof id, "job-%d", i);
		publisher_invite(w.publisher, id, "default", "normal", NULL, on_done, &w);
	}
	while (w.confirmed < COUNT / 10)
		uv_run(&w.loop, UV_RUN_ONCE);
	cr_assert(services(dir, "kill", "rabbitmq") == 0);
	cr_assert(w.confirmed < COUNT);
	cr_assert(services(dir, "start", "rabbitmq") == 0);
	watch_all(&w, 120000);
	cr_assert(w.confirmed + w.returned == COUNT);
	cr_assert(w.returned == 0);
	cr_assert(w.downs >= 1 && w.ups >= 2);
	watch_close(&w);
	broker = open_url(url);
	end = clock_mono_ms() + LIMIT_MS;
	while (messages < COUNT && clock_mono_ms() < end)
		cr_assert(broker_queue_depth(broker, 1, f.queue, &messages, &consumers, &err) == 0);
	cr_assert(messages >= COUNT);
	broker_close(broker, true);
	cr_assert(services(dir, "down", NULL) == 0);
}

static void run_for(struct watch *w, int64_t ms)
{
	int64_t end = clock_mono_ms() + ms;
	uv_timer_t timer;
	uv_timer_init(&w->loop, &timer);
	uv_timer_start(&timer, on_tick, 20, 20);
	while (clock_mono_ms() < end)
		uv_run(&w->loop, UV_RUN_ONCE);
	uv_close((uv_handle_t *)&timer, NULL);
	uv_run(&w->loop, UV_RUN_NOWAIT);
}

/* A broker short of memory stops reading: what is published waits, the session lives on. A broker that is frozen is
 * left for dead, and found again. */
Test(publisher, waits_for_a_blocked_broker_and_leaves_a_frozen_one, .timeout = 180)
{
	static char body[100000];
	struct watch w;
	struct fixture f;
	char dir[SCRATCH_SIZE], url[128];
	struct broker_out out = {.exchange = "", .routing_key = f.queue, .body = body, .body_len = sizeof body};
	int pid = new_services(dir, url);
	int64_t end;

	choose_prefix(f.prefix);
	topology_queue(f.queue, f.prefix, "default", "normal");
	watch_open(&w, url, f.prefix);
	publisher_invite(w.publisher, "first", "default", "normal", NULL, on_done, &w);
	watch_all(&w, LIMIT_MS);

	control(dir, "set_vm_memory_high_watermark", "0.00001", NULL, NULL, NULL);
	for (int i = 0; i < 200; i++)
		publisher_send(w.publisher, &out, on_done, &w);
	/* For longer than two heartbeats. */
	run_for(&w, 6000);
	cr_assert(publisher_pending(w.publisher) > 0);
	cr_assert(w.downs == 0 && publisher_up(w.publisher));
	control(dir, "set_vm_memory_high_watermark", "0.4", NULL, NULL, NULL);
	watch_all(&w, LIMIT_MS);
	cr_assert(w.confirmed == 201 && w.downs == 0);

	kill(pid, SIGSTOP);
	publisher_send(w.publisher, &out, on_done, &w);
	end = clock_mono_ms() + LIMIT_MS;
	while (!w.downs && clock_mono_ms() < end)
		run_for(&w, 100);
	kill(pid, SIGCONT);
	cr_assert(w.downs > 0);
	watch_all(&w, LIMIT_MS);
	cr_assert(w.confirmed == 202 && w.ups >= 2);
	watch_close(&w);
	cr_assert(services(dir, "down", NULL) == 0);
}
