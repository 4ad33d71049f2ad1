/* Frames as they go over the wire: type, channel, size, payload, end. */
#include <string.h>

#include "broker/session.h"

enum { HEAD = 7, METHOD_ROOM = 4096, PROPERTIES_ROOM = 512, PROPERTIES_MAX = 1 << 19 };

static void put16(char *at, uint16_t n)
{
	at[0] = (char)(n >> 8);
	at[1] = (char)n;
}

static void put32(char *at, uint32_t n)
{
	put16(at, (uint16_t)(n >> 16));
	put16(at + 2, (uint16_t)n);
}

static void put64(char *at, uint64_t n)
{
	put32(at, (uint32_t)(n >> 32));
	put32(at + 4, (uint32_t)n);
}

static void put_head(char *at, int type, uint16_t channel, size_t size)
{
	at[0] = (char)type;
	put16(at + 1, channel);
	put32(at + 3, (uint32_t)size);
}

int frame_method(struct buf *out, uint16_t channel, amqp_method_number_t id, void *decoded)
{
	char *at;
	int len;

	buf_grow(out, METHOD_ROOM);
	at = out->data + out->len;
	len = amqp_encode_method(id, decoded,
				 (amqp_bytes_t){.len = METHOD_ROOM - HEAD - 4 - 1, .bytes = at + HEAD + 4});
	if (len < 0)
		return ERR_INPUT;
	put_head(at, AMQP_FRAME_METHOD, channel, (size_t)len + 4);
	put32(at + HEAD, id);
	at[HEAD + 4 + len] = (char)AMQP_FRAME_END;
	out->len += HEAD + 4 + (size_t)len + 1;
	return 0;
}

int frame_properties(struct buf *out, const amqp_basic_properties_t *properties)
{
	for (size_t room = PROPERTIES_ROOM; room <= PROPERTIES_MAX; room *= 4) {
		int len;
		buf_grow(out, room);
		len = amqp_encode_properties(AMQP_BASIC_CLASS, (void *)properties,
					     (amqp_bytes_t){.len = room, .bytes = out->data + out->len});
		if (len >= 0) {
			out->len += (size_t)len;
			return 0;
		}
	}
	return ERR_INPUT;
}

int frame_header(struct buf *out, uint16_t channel, const amqp_basic_properties_t *properties, uint64_t body_size,
		 size_t frame_max)
{
	size_t start = out->len, size;
	int r;

	buf_grow(out, HEAD + 12);
	out->len += HEAD + 12;
	r = frame_properties(out, properties);
	if (r || out->len - start + 1 > frame_max) {
		out->len = start;
		return ERR_INPUT;
	}
	size = out->len - start - HEAD;
	put_head(out->data + start, AMQP_FRAME_HEADER, channel, size);
	put16(out->data + start + HEAD, AMQP_BASIC_CLASS);
	put16(out->data + start + HEAD + 2, 0);
	put64(out->data + start + HEAD + 4, body_size);
	buf_add(out, "\xce", 1);
	return 0;
}

void frame_body(struct buf *out, uint16_t channel, const void *bytes, size_t len, size_t frame_max)
{
	const char *at = bytes;
	while (len > 0) {
		char head[HEAD];
		size_t now = len < frame_max - HEAD - 1 ? len : frame_max - HEAD - 1;
		put_head(head, AMQP_FRAME_BODY, channel, now);
		buf_add(out, head, HEAD);
		buf_add(out, at, now);
		buf_add(out, "\xce", 1);
		at += now;
		len -= now;
	}
}
