#include "exec/frames.h"

#include <string.h>

#include "job/json.h"

#define HEADER 4
#define WORDS_MAX ((size_t)4096)

void frames_release(struct frames *frames) { buf_release(&frames->bytes); }

void frames_add(struct frames *frames, const char *bytes, size_t len)
{
	struct buf *b = &frames->bytes;

	if (frames->at > 0) {
		memmove(b->data, b->data + frames->at, b->len - frames->at);
		b->len -= frames->at;
		frames->at = 0;
	}
	buf_add(b, bytes, len);
}

int frames_next(struct frames *frames, const char **ret, size_t *len, struct err *err)
{
	const unsigned char *head = (const unsigned char *)frames->bytes.data + frames->at;
	size_t left = frames->bytes.len - frames->at;
	size_t want;

	if (left < HEADER)
		return 0;
	want = (size_t)head[0] << 24 | (size_t)head[1] << 16 | (size_t)head[2] << 8 | head[3];
	if (want > FRAME_MAX)
		return err_set(err, ERR_INPUT,
			       "it begins a frame of %zu bytes, more than %d: does it print to its standard output?",
			       want, FRAME_MAX);
	if (left - HEADER < want)
		return 0;
	*ret = (const char *)head + HEADER;
	*len = want;
	frames->at += HEADER + want;
	return 1;
}

void frame_write(struct buf *out, const char *bytes, size_t len)
{
	const unsigned char head[HEADER] = {(unsigned char)(len >> 24), (unsigned char)(len >> 16),
					    (unsigned char)(len >> 8), (unsigned char)len};
	buf_add(out, head, sizeof head);
	buf_add(out, bytes, len);
}

static const msgpack_object *member(const msgpack_object *map, const char *key)
{
	for (uint32_t i = 0; i < map->via.map.size; i++) {
		const msgpack_object_str *name = &map->via.map.ptr[i].key.via.str;
		if (name->size == strlen(key) && memcmp(name->ptr, key, name->size) == 0)
			return &map->via.map.ptr[i].val;
	}
	return NULL;
}

static int take_int(const msgpack_object *map, const char *key, int64_t *ret, struct err *err)
{
	const msgpack_object *value = member(map, key);

	if (!value || value->type != MSGPACK_OBJECT_POSITIVE_INTEGER || value->via.u64 > INT64_MAX)
		return err_set(err, ERR_INPUT, "its message has no whole number as \"%s\"", key);
	*ret = (int64_t)value->via.u64;
	return 0;
}

static int take_text(const msgpack_object *map, const char *key, struct message *ret, struct err *err)
{
	const msgpack_object *value = member(map, key);

	if (!value || value->type != MSGPACK_OBJECT_STR)
		return err_set(err, ERR_INPUT, "its message has no text as \"%s\"", key);
	ret->text = value->via.str.ptr;
	ret->len = value->via.str.size;
	return 0;
}

static int take_error(const msgpack_object *map, struct message *ret, struct err *err)
{
	const msgpack_object *flag = member(map, "bad_argument");

	ret->bad_argument = flag && flag->type == MSGPACK_OBJECT_BOOLEAN && flag->via.boolean;
	return take_text(map, "message", ret, err);
}

static int take_type(const msgpack_object *map, struct message *ret, struct err *err)
{
	static const char *const types[] = {"hello", "progress", "output", "result", "error"};
	const msgpack_object *type = member(map, "type");

	if (!type || type->type != MSGPACK_OBJECT_STR)
		return err_set(err, ERR_INPUT, "its message has no text as \"type\"");
	for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
		if (strlen(types[i]) == type->via.str.size &&
		    memcmp(types[i], type->via.str.ptr, type->via.str.size) == 0) {
			ret->type = (enum message_type)i;
			return 0;
		}
	}
	return err_set(err, ERR_INPUT, "its message has a type that there is not");
}

static int take_fields(const msgpack_object *map, struct message *ret, struct err *err)
{
	int r = take_type(map, ret, err);

	if (r < 0)
		return r;
	if (ret->type == MESSAGE_HELLO)
		return take_int(map, "version", &ret->version, err);
	r = take_int(map, "seq", &ret->seq, err);
	if (r < 0)
		return r;
	switch (ret->type) {
	case MESSAGE_RESULT: ret->result = member(map, "result"); return 0;
	case MESSAGE_ERROR: return take_error(map, ret, err);
	default: return take_text(map, "text", ret, err);
	}
}

int message_decode(const char *bytes, size_t len, struct message *ret, struct err *err)
{
	int r = msgpack_check(bytes, len, err);

	if (r < 0)
		return err_prefix(err, "its message is no MessagePack that is taken");
	*ret = (struct message){0};
	msgpack_unpacked_init(&ret->unpacked);
	if (msgpack_unpack_next(&ret->unpacked, bytes, len, NULL) != MSGPACK_UNPACK_SUCCESS ||
	    ret->unpacked.data.type != MSGPACK_OBJECT_MAP)
		r = err_set(err, ERR_INPUT, "its message is no map");
	else
		r = take_fields(&ret->unpacked.data, ret, err);
	if (r < 0)
		message_release(ret);
	return r;
}

char *message_words(const struct message *message)
{
	size_t len = message->len;
	struct buf text = BUF_INIT;

	if (len <= WORDS_MAX)
		return xmemdup0(message->text, len);
	for (len = WORDS_MAX; len > 0 && ((unsigned char)message->text[len] & 0xc0) == 0x80;)
		len--; /* into the middle of a character it is not cut */
	buf_add(&text, message->text, len);
	buf_adds(&text, " ...");
	return buf_detach(&text);
}

void message_release(struct message *message) { msgpack_unpacked_destroy(&message->unpacked); }
