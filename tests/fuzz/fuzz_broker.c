/* What the broker's socket brings: frames that are put together to events, through the library that reads them. The
 * input is a row of frames, each type, channel, two bytes of length, payload; they are framed here so that the library
 * takes them. */
#include "fuzz.h"

#include <amqp_tcp_socket.h>
#include <sys/socket.h>

#include "broker/session.h"

static void add_frame(struct buf *out, uint8_t type, uint8_t channel, const uint8_t *payload, size_t len)
{
	const uint8_t head[] = {type, 0, channel, 0, 0, (uint8_t)(len >> 8), (uint8_t)len};

	buf_add(out, head, sizeof head);
	if (len)
		buf_add(out, payload, len);
	buf_add(out, "\xce", 1);
}

static void frame_all(struct buf *out, const uint8_t *data, size_t size)
{
	static const uint8_t types[] = {AMQP_FRAME_METHOD, AMQP_FRAME_HEADER, AMQP_FRAME_BODY, AMQP_FRAME_HEARTBEAT};

	while (size >= 4) {
		size_t len = (size_t)data[2] << 8 | data[3];

		len = len < size - 4 ? len : size - 4;
		add_frame(out, types[data[0] % 4], data[1] % 8, data + 4, len);
		data += 4 + len;
		size -= 4 + len;
	}
}

/* The library is past its beginning when a first frame has come: here connection.blocked without a reason. */
static struct broker *open_session(int fd, int far_end)
{
	struct broker *broker = xcalloc(1, sizeof *broker);
	static const uint8_t blocked[] = {0, 10, 0, 60, 0};
	struct timeval now = {0};
	struct buf first = BUF_INIT;
	amqp_socket_t *socket;
	amqp_frame_t frame;

	broker->conn = amqp_new_connection();
	socket = amqp_tcp_socket_new(broker->conn);
	must(socket != NULL);
	amqp_tcp_socket_set_sockfd(socket, fd);
	add_frame(&first, AMQP_FRAME_METHOD, 0, blocked, sizeof blocked);
	must(write(far_end, first.data, first.len) == (ssize_t)first.len);
	buf_release(&first);
	must(amqp_simple_wait_frame_noblock(broker->conn, &frame, &now) == AMQP_STATUS_OK);
	amqp_tune_connection(broker->conn, 2047, 131072, 0);
	broker->fd = fd;
	broker->ours = true;
	broker->frame_max = 131072;
	broker->where = xstrdup("here");
	broker->user = xstrdup("guest");
	return broker;
}

static void check_message(const struct broker_message *m)
{
	must(m->exchange && m->routing_key && m->body && m->body[m->body_len] == '\0');
	must(m->returned >= 0 && m->returned <= 1000);
	must(!m->correlation_id || m->correlation_id[m->correlation_len] == '\0');
	must(m->properties != NULL);
}

/* What is handed out can be handed on: the header as it came, and a copy of it. */
static void check_properties(const struct broker_message *m)
{
	struct buf out = BUF_INIT;
	void *copy = broker_properties_copy(m->properties);

	frame_properties(&out, m->properties);
	broker_properties_free(copy);
	buf_release(&out);
}

static void read_all(struct broker *broker)
{
	struct broker_event event;
	struct err err;
	int r;

	while ((r = broker_next(broker, &event, &err)) == 0 && event.kind != BROKER_NOTHING) {
		if (event.kind != BROKER_DELIVERY && event.kind != BROKER_RETURN)
			continue;
		check_message(&event.message);
		check_properties(&event.message);
	}
	if (r < 0)
		must_be_words(&err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf frames = BUF_INIT;
	struct broker *broker;
	int ends[2];

	frame_all(&frames, data, size);
	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0);
	broker = open_session(ends[0], ends[1]);
	if (frames.len)
		must(write(ends[1], frames.data, frames.len) == (ssize_t)frames.len);
	read_all(broker);
	broker_close(broker, false);
	close(ends[1]);
	buf_release(&frames);
	return 0;
}
