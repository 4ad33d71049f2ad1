/* What is sent without waiting for an answer, and the socket's writing side. */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "broker/session.h"

/* So much may wait in `out` before publishing waits for the broker. */
#define OUT_MAX ((size_t)1 << 20)
#define OUT_FLUSH ((size_t)1 << 16)

int session_lost(struct broker *broker, struct err *err, const char *doing, const char *why)
{
	struct err tls;

	broker->dead = true;
	/* The library sees no more than an end of file. To a session that has begun nothing is for ever. */
	if (broker->tls && tls_why(broker->tls, &tls))
		return err_set(err, broker->ours ? ERR_SERVICE : tls.code, "RabbitMQ at %s: %s", broker->where,
			       tls.text);
	return err_set(err, ERR_SERVICE, "RabbitMQ at %s: %s: %s", broker->where, doing, why);
}

int session_alive(const struct broker *broker, struct err *err)
{
	if (broker->dead)
		return err_set(err, ERR_SERVICE, "RabbitMQ at %s: the connection is gone", broker->where);
	return 0;
}

size_t broker_unsent(const struct broker *broker) { return broker->out.len - broker->sent; }

static void forget_sent(struct broker *broker)
{
	if (broker->sent == broker->out.len) {
		buf_reset(&broker->out);
		broker->sent = 0;
	} else if (broker->sent >= OUT_FLUSH) {
		broker->out.len -= broker->sent;
		memmove(broker->out.data, broker->out.data + broker->sent, broker->out.len);
		broker->sent = 0;
	}
}

int broker_flush(struct broker *broker, struct err *err)
{
	if (broker->dead)
		return session_alive(broker, err);
	while (broker->sent < broker->out.len) {
		ssize_t n = send(broker->fd, broker->out.data + broker->sent, broker->out.len - broker->sent,
				 MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			break;
		if (n < 0)
			return session_lost(broker, err, "cannot send", strerror(errno));
		broker->sent += (size_t)n;
		broker->last_sent = clock_mono_ms();
	}
	forget_sent(broker);
	return 0;
}

#ifdef FLOTILLA_FAULTS

void broker_fault(struct broker *broker, enum fault_point point)
{
	struct fault fault;
	struct err ignored;

	if (!fault_take(point, &fault))
		return;
	if (broker && !broker->dead)
		broker_flush(broker, &ignored);
	if (fault_do(&fault) && broker)
		shutdown(broker->fd, SHUT_RDWR);
}

#endif

/* Sends until at most `left` bytes wait. */
static int flush_to(struct broker *broker, size_t left, struct err *err)
{
	int64_t end = clock_mono_ms() + broker->timeout_ms;
	for (;;) {
		struct pollfd fd = {.fd = broker->fd, .events = POLLOUT};
		int64_t now;
		int r = broker_flush(broker, err);

		if (r || broker_unsent(broker) <= left)
			return r;
		now = clock_mono_ms();
		if (now >= end)
			return session_lost(broker, err, "cannot send", "the broker takes nothing more");
		poll(&fd, 1, (int)(end - now));
	}
}

int session_settle(struct broker *broker, struct err *err) { return flush_to(broker, 0, err); }

int session_send(struct broker *broker, uint16_t channel, amqp_method_number_t id, void *decoded, struct err *err)
{
	if (broker->dead)
		return session_alive(broker, err);
	if (frame_method(&broker->out, channel, id, decoded))
		return err_set(err, ERR_INPUT, "%s does not fit into a frame", amqp_method_name(id));
	return broker_unsent(broker) < OUT_FLUSH ? 0 : broker_flush(broker, err);
}

int broker_qos(struct broker *broker, uint16_t channel, uint16_t prefetch, struct err *err)
{
	amqp_basic_qos_t method = {.prefetch_count = prefetch};
	return session_send(broker, channel, AMQP_BASIC_QOS_METHOD, &method, err);
}

int broker_consume(struct broker *broker, uint16_t channel, const char *queue, const char *consumer_tag,
		   struct err *err)
{
	amqp_basic_consume_t method = {.queue = text_bytes(queue), .consumer_tag = text_bytes(consumer_tag)};
	return session_send(broker, channel, AMQP_BASIC_CONSUME_METHOD, &method, err);
}

int broker_cancel(struct broker *broker, uint16_t channel, const char *consumer_tag, struct err *err)
{
	amqp_basic_cancel_t method = {.consumer_tag = text_bytes(consumer_tag)};
	return session_send(broker, channel, AMQP_BASIC_CANCEL_METHOD, &method, err);
}

int broker_ack(struct broker *broker, uint16_t channel, uint64_t tag, bool multiple, struct err *err)
{
	amqp_basic_ack_t method = {.delivery_tag = tag, .multiple = multiple};
	return session_send(broker, channel, AMQP_BASIC_ACK_METHOD, &method, err);
}

/* The message's frames, the method before its header before its body. */
int session_publish(struct broker *broker, uint16_t channel, amqp_basic_publish_t *method,
		    const amqp_basic_properties_t *properties, const void *body, size_t body_len, struct err *err)
{
	size_t start = broker->out.len;

	if (broker->dead)
		return session_alive(broker, err);
	if (frame_method(&broker->out, channel, AMQP_BASIC_PUBLISH_METHOD, method) ||
	    frame_header(&broker->out, channel, properties, body_len, broker->frame_max)) {
		broker->out.len = start;
		return err_set(err, ERR_INPUT, "the message's headers do not fit into a frame");
	}
	frame_body(&broker->out, channel, body, body_len, broker->frame_max);
	if (broker_unsent(broker) < OUT_FLUSH)
		return 0;
	return broker_unsent(broker) < OUT_MAX ? broker_flush(broker, err) : flush_to(broker, OUT_MAX / 2, err);
}
