/* Frames that came, as events. A message is a method, a header and bodies on one channel; its memory is the library's,
 * which gives it back when the next event is asked for. */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "base/clock.h"
#include "broker/session.h"
#include "job/signature.h"

int broker_fd(const struct broker *broker) { return broker->fd; }

static void begin_message(struct assembly *in, enum broker_event_kind kind, amqp_bytes_t exchange,
			  amqp_bytes_t routing_key)
{
	in->stage = ASSEMBLY_HEADER;
	in->kind = kind;
	in->exchange = exchange;
	in->routing_key = routing_key;
	in->tag = 0;
	in->redelivered = false;
	in->consumer_tag[0] = '\0';
	buf_reset(&in->body);
	buf_reset(&in->text);
}

static void on_deliver(struct broker *broker, const amqp_frame_t *frame)
{
	const amqp_basic_deliver_t *method = frame->payload.method.decoded;
	struct assembly *in = session_channel(broker, frame->channel);

	begin_message(in, BROKER_DELIVERY, method->exchange, method->routing_key);
	in->tag = method->delivery_tag;
	in->redelivered = method->redelivered;
	bytes_to_text(in->consumer_tag, sizeof in->consumer_tag, method->consumer_tag);
}

static const char *copy_text(struct buf *text, bool there, amqp_bytes_t bytes)
{
	const char *at = text->data + text->len;
	if (!there)
		return NULL;
	buf_add(text, bytes.bytes, bytes.len);
	buf_add(text, "", 1);
	return at;
}

static int returned_count(const amqp_table_t *headers)
{
	for (int i = 0; i < headers->num_entries; i++) {
		const amqp_table_entry_t *entry = &headers->entries[i];
		static const char name[] = "x-flotilla-returned";
		int64_t count;
		if (entry->key.len != sizeof name - 1 || memcmp(entry->key.bytes, name, sizeof name - 1) != 0)
			continue;
		switch (entry->value.kind) {
		case AMQP_FIELD_KIND_I8: count = entry->value.value.i8; break;
		case AMQP_FIELD_KIND_I16: count = entry->value.value.i16; break;
		case AMQP_FIELD_KIND_I32: count = entry->value.value.i32; break;
		case AMQP_FIELD_KIND_I64: count = entry->value.value.i64; break;
		default: count = 0;
		}
		return count < 0 ? 0 : count > 1000 ? 1000 : (int)count;
	}
	return 0;
}

/* A header of text; empty where there is none. */
static amqp_bytes_t text_header(const amqp_basic_properties_t *p, const char *name)
{
	size_t len = strlen(name);

	if (p->_flags & AMQP_BASIC_HEADERS_FLAG)
		for (int i = 0; i < p->headers.num_entries; i++) {
			const amqp_table_entry_t *entry = &p->headers.entries[i];
			if (entry->key.len == len && memcmp(entry->key.bytes, name, len) == 0 &&
			    (entry->value.kind == AMQP_FIELD_KIND_UTF8 || entry->value.kind == AMQP_FIELD_KIND_BYTES))
				return entry->value.value.bytes;
		}
	return amqp_empty_bytes;
}

static const char dead_queue[] = "x-first-death-queue"; /* where a message was first dead-lettered from */
static const char task_hint[] = "x-flotilla-task";
static const char moved_user[] = "x-flotilla-user-id";

/* A header of text as a copy; NULL where there is none, or an empty one. */
static const char *copy_header(struct buf *text, const amqp_basic_properties_t *p, const char *name)
{
	amqp_bytes_t value = text_header(p, name);
	return copy_text(text, value.len > 0, value);
}

/* Room for all texts at once, so that nothing moves while pointers into it are taken. Only what the flags name is
 * there: the library leaves the rest as it finds it. */
static size_t text_room(const struct assembly *in, const amqp_basic_properties_t *p)
{
	amqp_flags_t has = p->_flags;
	size_t room = in->exchange.len + in->routing_key.len + 16;

	room += has & AMQP_BASIC_CONTENT_TYPE_FLAG ? p->content_type.len : 0;
	room += has & AMQP_BASIC_CONTENT_ENCODING_FLAG ? p->content_encoding.len : 0;
	room += has & AMQP_BASIC_MESSAGE_ID_FLAG ? p->message_id.len : 0;
	room += has & AMQP_BASIC_REPLY_TO_FLAG ? p->reply_to.len : 0;
	room += has & AMQP_BASIC_CORRELATION_ID_FLAG ? p->correlation_id.len : 0;
	room += has & AMQP_BASIC_TYPE_FLAG ? p->type.len : 0;
	if (has & AMQP_BASIC_HEADERS_FLAG)
		room += text_header(p, dead_queue).len + text_header(p, task_hint).len +
			text_header(p, SIGNATURE_KEY).len + text_header(p, SIGNATURE_MAC).len +
			text_header(p, moved_user).len;
	room += has & AMQP_BASIC_USER_ID_FLAG ? p->user_id.len : 0;
	return room;
}

const char *broker_user(const struct broker_message *message)
{
	if (message->user_id)
		return message->user_id[0] ? message->user_id : NULL;
	return message->exchange && !message->exchange[0] ? message->moved_user : NULL;
}

/* The message is whole: hands it out, with NUL-terminated copies of its texts. */
static void hand_out(struct broker *broker, uint16_t channel, struct assembly *in, struct broker_event *ret)
{
	const amqp_basic_properties_t *p = in->properties;
	struct broker_message *m = &ret->message;
	amqp_flags_t has = p->_flags;

	in->stage = ASSEMBLY_NONE;
	broker->to_release = channel;
	ret->kind = in->kind;
	ret->tag = in->tag;
	ret->redelivered = in->redelivered;
	memcpy(ret->consumer_tag, in->consumer_tag, sizeof ret->consumer_tag);
	buf_grow(&in->text, text_room(in, p));
	m->exchange = copy_text(&in->text, true, in->exchange);
	m->routing_key = copy_text(&in->text, true, in->routing_key);
	m->content_type = copy_text(&in->text, has & AMQP_BASIC_CONTENT_TYPE_FLAG, p->content_type);
	m->content_encoding = copy_text(&in->text, has & AMQP_BASIC_CONTENT_ENCODING_FLAG, p->content_encoding);
	m->message_id = copy_text(&in->text, has & AMQP_BASIC_MESSAGE_ID_FLAG, p->message_id);
	m->reply_to = copy_text(&in->text, has & AMQP_BASIC_REPLY_TO_FLAG, p->reply_to);
	m->correlation_id = copy_text(&in->text, has & AMQP_BASIC_CORRELATION_ID_FLAG, p->correlation_id);
	m->type = copy_text(&in->text, has & AMQP_BASIC_TYPE_FLAG, p->type);
	m->correlation_len = m->correlation_id ? p->correlation_id.len : 0;
	m->returned = has & AMQP_BASIC_HEADERS_FLAG ? returned_count(&p->headers) : 0;
	m->dead_queue = copy_header(&in->text, p, dead_queue);
	m->task = copy_header(&in->text, p, task_hint);
	m->key_id = copy_header(&in->text, p, SIGNATURE_KEY);
	m->signature = copy_header(&in->text, p, SIGNATURE_MAC);
	m->user_id = copy_text(&in->text, has & AMQP_BASIC_USER_ID_FLAG, p->user_id);
	m->moved_user = copy_header(&in->text, p, moved_user);
	buf_grow(&in->body, 0);
	m->body = in->body.data;
	m->body_len = in->body.len;
	m->properties = p;
}

/* Another class has other properties, in less memory. */
static int on_header(struct broker *broker, const amqp_frame_t *frame, struct broker_event *ret, struct err *err)
{
	struct assembly *in = session_channel(broker, frame->channel);

	if (frame->payload.properties.class_id != AMQP_BASIC_CLASS)
		return session_lost(broker, err, "connected", "the header of a message is none");
	if (in->stage != ASSEMBLY_HEADER)
		return 0;
	in->properties = frame->payload.properties.decoded;
	in->body_size = frame->payload.properties.body_size;
	in->stage = ASSEMBLY_BODY;
	if (in->body_size == 0)
		hand_out(broker, frame->channel, in, ret);
	return 0;
}

static void on_body(struct broker *broker, const amqp_frame_t *frame, struct broker_event *ret)
{
	struct assembly *in = session_channel(broker, frame->channel);

	if (in->stage != ASSEMBLY_BODY)
		return;
	buf_add(&in->body, frame->payload.body_fragment.bytes, frame->payload.body_fragment.len);
	if (in->body.len >= in->body_size)
		hand_out(broker, frame->channel, in, ret);
}

static int on_channel_close(struct broker *broker, const amqp_frame_t *frame, struct broker_event *ret, struct err *err)
{
	const amqp_channel_close_t *method = frame->payload.method.decoded;
	amqp_channel_close_ok_t ok = {0};

	ret->kind = BROKER_CHANNEL_CLOSED;
	bytes_to_text(ret->text, sizeof ret->text, method->reply_text);
	session_channel(broker, frame->channel)->stage = ASSEMBLY_NONE;
	return session_send(broker, frame->channel, AMQP_CHANNEL_CLOSE_OK_METHOD, &ok, err);
}

static int on_connection_close(struct broker *broker, const amqp_frame_t *frame, struct err *err)
{
	const amqp_connection_close_t *method = frame->payload.method.decoded;
	amqp_connection_close_ok_t ok = {0};
	char text[256];

	bytes_to_text(text, sizeof text, method->reply_text);
	if (!session_send(broker, 0, AMQP_CONNECTION_CLOSE_OK_METHOD, &ok, err))
		broker_flush(broker, err);
	return session_lost(broker, err, "the broker closed the connection", text);
}

static void set_consumer(struct broker_event *ret, enum broker_event_kind kind, amqp_bytes_t tag)
{
	ret->kind = kind;
	bytes_to_text(ret->consumer_tag, sizeof ret->consumer_tag, tag);
}

static void set_confirm(struct broker_event *ret, enum broker_event_kind kind, uint64_t tag, bool multiple)
{
	ret->kind = kind;
	ret->tag = tag;
	ret->multiple = multiple;
}

static int on_method(struct broker *broker, const amqp_frame_t *frame, struct broker_event *ret, struct err *err)
{
	void *decoded = frame->payload.method.decoded;

	switch (frame->payload.method.id) {
	case AMQP_BASIC_DELIVER_METHOD: on_deliver(broker, frame); break;
	case AMQP_BASIC_RETURN_METHOD: {
		const amqp_basic_return_t *m = decoded;
		begin_message(session_channel(broker, frame->channel), BROKER_RETURN, m->exchange, m->routing_key);
		break;
	}
	case AMQP_BASIC_ACK_METHOD: {
		const amqp_basic_ack_t *m = decoded;
		set_confirm(ret, BROKER_ACK, m->delivery_tag, m->multiple);
		break;
	}
	case AMQP_BASIC_NACK_METHOD: {
		const amqp_basic_nack_t *m = decoded;
		set_confirm(ret, BROKER_NACK, m->delivery_tag, m->multiple);
		break;
	}
	case AMQP_BASIC_CONSUME_OK_METHOD:
		set_consumer(ret, BROKER_CONSUME_OK, ((const amqp_basic_consume_ok_t *)decoded)->consumer_tag);
		break;
	case AMQP_BASIC_CANCEL_OK_METHOD:
		set_consumer(ret, BROKER_CANCEL_OK, ((const amqp_basic_cancel_ok_t *)decoded)->consumer_tag);
		break;
	case AMQP_BASIC_CANCEL_METHOD:
		set_consumer(ret, BROKER_CANCELLED, ((const amqp_basic_cancel_t *)decoded)->consumer_tag);
		break;
	case AMQP_BASIC_QOS_OK_METHOD: ret->kind = BROKER_QOS_OK; break;
	case AMQP_CONNECTION_BLOCKED_METHOD:
		ret->kind = BROKER_BLOCKED;
		bytes_to_text(ret->text, sizeof ret->text, ((const amqp_connection_blocked_t *)decoded)->reason);
		break;
	case AMQP_CONNECTION_UNBLOCKED_METHOD: ret->kind = BROKER_UNBLOCKED; break;
	case AMQP_CHANNEL_CLOSE_METHOD: return on_channel_close(broker, frame, ret, err);
	case AMQP_CONNECTION_CLOSE_METHOD: return on_connection_close(broker, frame, err);
	default: break;
	}
	return 0;
}

static int on_frame(struct broker *broker, const amqp_frame_t *frame, struct broker_event *ret, struct err *err)
{
	bool message = false;
	int r = 0;

	ret->channel = frame->channel;
	switch (frame->frame_type) {
	case AMQP_FRAME_METHOD: r = on_method(broker, frame, ret, err); break;
	case AMQP_FRAME_HEADER: r = on_header(broker, frame, ret, err); break;
	case AMQP_FRAME_BODY: on_body(broker, frame, ret); break;
	default: break;
	}
	message = broker->to_release || (!r && frame->channel < broker->channel_count &&
					 broker->channels[frame->channel].stage != ASSEMBLY_NONE);
	if (!message)
		amqp_maybe_release_buffers_on_channel(broker->conn, frame->channel);
	return r;
}

/* Our side of the heartbeats, where the library's is off: sends one when nothing else was sent for half the interval,
 * and takes the broker for dead when nothing came for two. */
static int keep_heartbeat(struct broker *broker, struct err *err)
{
	static const char heartbeat[] = {8, 0, 0, 0, 0, 0, 0, (char)AMQP_FRAME_END};
	struct tcp_info info;
	socklen_t len = sizeof info;
	int64_t now;

	if (!broker->ours || !broker->heartbeat_ms)
		return 0;
	now = clock_mono_ms();
	if (now < broker->next_look)
		return 0;
	broker->next_look = now + broker->heartbeat_ms / 8;
	if (getsockopt(broker->tls ? tls_wire(broker->tls) : broker->fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0 &&
	    info.tcpi_last_data_recv > 2 * broker->heartbeat_ms)
		return session_lost(broker, err, "connected", "no sign of life for two heartbeats");
	if (!broker_unsent(broker) && now - broker->last_sent >= broker->heartbeat_ms / 2 - broker->heartbeat_ms / 8)
		buf_add(&broker->out, heartbeat, sizeof heartbeat);
	return 0;
}

static int nothing_more(struct broker *broker, struct err *err)
{
	int r = keep_heartbeat(broker, err);
	if (!r && broker_unsent(broker))
		r = broker_flush(broker, err);
	return r;
}

int broker_next(struct broker *broker, struct broker_event *ret, struct err *err)
{
	struct timeval now = {0, 0};
	int r;

	if (broker->dead)
		return session_alive(broker, err);
	if (broker->to_release) {
		amqp_maybe_release_buffers_on_channel(broker->conn, broker->to_release);
		broker->to_release = 0;
	}
	memset(ret, 0, sizeof *ret);
	while (ret->kind == BROKER_NOTHING) {
		amqp_frame_t frame;
		int status = amqp_simple_wait_frame_noblock(broker->conn, &frame, &now);
		if (status == AMQP_STATUS_TIMEOUT)
			return nothing_more(broker, err);
		if (status)
			return session_lost(broker, err, "connected", amqp_error_string2(status));
		r = on_frame(broker, &frame, ret, err);
		if (r)
			return r;
	}
	return 0;
}
