#include "runner/wire.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "job/json.h"

/* What the worker sends: a job of 1 MiB and 1 MiB of results, with room. */
#define READ_MAX (8 * 1024 * 1024)
#define VERSION 1

static bool read_full(int fd, void *bytes, size_t len)
{
	char *at = bytes;
	while (len > 0) {
		ssize_t got = read(fd, at, len);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return false;
		at += got;
		len -= (size_t)got;
	}
	return true;
}

bool wire_read(struct wire *wire, msgpack_unpacked *ret)
{
	unsigned char head[4];
	size_t len;
	CLEANUP(freep) char *bytes = NULL;
	struct err err;

	if (!read_full(wire->in, head, sizeof head))
		return false;
	len = (size_t)head[0] << 24 | (size_t)head[1] << 16 | (size_t)head[2] << 8 | head[3];
	if (len > READ_MAX)
		return false;
	bytes = xmalloc(len);
	if (!read_full(wire->in, bytes, len) || msgpack_check(bytes, len, &err) < 0)
		return false;
	msgpack_unpacked_init(ret);
	if (msgpack_unpack_next(ret, bytes, len, NULL) == MSGPACK_UNPACK_SUCCESS &&
	    ret->data.type == MSGPACK_OBJECT_MAP) {
		/* The texts of the map lie in the bytes: they go with the zone. */
		msgpack_zone_push_finalizer(ret->zone, free, TAKE_PTR(bytes));
		return true;
	}
	msgpack_unpacked_destroy(ret);
	return false;
}

bool wire_waiting(const struct wire *wire)
{
	struct pollfd fd = {.fd = wire->in, .events = POLLIN};
	return poll(&fd, 1, 0) > 0;
}

/* A worker that has gone takes this process with it (SIGPIPE, or its parent-death signal). */
static void send_frame(struct wire *wire, msgpack_sbuffer *buffer)
{
	CLEANUP(buf_release) struct buf frame = BUF_INIT;
	const unsigned char head[4] = {(unsigned char)(buffer->size >> 24), (unsigned char)(buffer->size >> 16),
				       (unsigned char)(buffer->size >> 8), (unsigned char)buffer->size};
	size_t done = 0;

	buf_add(&frame, head, sizeof head);
	buf_add(&frame, buffer->data, buffer->size);
	msgpack_sbuffer_destroy(buffer);
	while (done < frame.len) {
		ssize_t put = write(wire->out, frame.data + done, frame.len - done);
		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			_exit(1);
		done += (size_t)put;
	}
}

static void add_text(msgpack_packer *packer, const char *text)
{
	msgpack_pack_str_with_body(packer, text, strlen(text));
}

static void begin(msgpack_sbuffer *buffer, msgpack_packer *packer, size_t pairs, const char *type, const char *number,
		  int64_t value)
{
	msgpack_sbuffer_init(buffer);
	msgpack_packer_init(packer, buffer, msgpack_sbuffer_write);
	msgpack_pack_map(packer, pairs);
	add_text(packer, "type");
	add_text(packer, type);
	add_text(packer, number);
	msgpack_pack_int64(packer, value);
}

void wire_hello(struct wire *wire)
{
	msgpack_sbuffer buffer;
	msgpack_packer packer;

	begin(&buffer, &packer, 2, "hello", "version", VERSION);
	send_frame(wire, &buffer);
}

void wire_progress(struct wire *wire, int64_t seq, const char *text)
{
	msgpack_sbuffer buffer;
	msgpack_packer packer;

	begin(&buffer, &packer, 3, "progress", "seq", seq);
	add_text(&packer, "text");
	add_text(&packer, text);
	send_frame(wire, &buffer);
}

void wire_result(struct wire *wire, int64_t seq, const struct buf *result)
{
	msgpack_sbuffer buffer;
	msgpack_packer packer;

	begin(&buffer, &packer, result->len > 0 ? 3 : 2, "result", "seq", seq);
	if (result->len > 0) {
		add_text(&packer, "result");
		msgpack_sbuffer_write(&buffer, result->data, result->len);
	}
	send_frame(wire, &buffer);
}

void wire_error(struct wire *wire, int64_t seq, const char *text, bool bad_argument)
{
	msgpack_sbuffer buffer;
	msgpack_packer packer;

	begin(&buffer, &packer, 4, "error", "seq", seq);
	add_text(&packer, "message");
	add_text(&packer, text);
	add_text(&packer, "bad_argument");
	if (bad_argument)
		msgpack_pack_true(&packer);
	else
		msgpack_pack_false(&packer);
	send_frame(wire, &buffer);
}

const msgpack_object *wire_member(const msgpack_object *map, const char *key)
{
	for (uint32_t i = 0; i < map->via.map.size; i++) {
		const msgpack_object *name = &map->via.map.ptr[i].key;
		if (name->type == MSGPACK_OBJECT_STR && name->via.str.size == strlen(key) &&
		    memcmp(name->via.str.ptr, key, name->via.str.size) == 0)
			return &map->via.map.ptr[i].val;
	}
	return NULL;
}

char *wire_text(const msgpack_object *map, const char *key)
{
	const msgpack_object *value = wire_member(map, key);
	return value && value->type == MSGPACK_OBJECT_STR ? xmemdup0(value->via.str.ptr, value->via.str.size) : NULL;
}

int64_t wire_int(const msgpack_object *map, const char *key)
{
	const msgpack_object *value = wire_member(map, key);
	return value && value->type == MSGPACK_OBJECT_POSITIVE_INTEGER ? (int64_t)value->via.u64 : 0;
}
