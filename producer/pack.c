#include "pack.h"

#include <msgpack.h>
#include <string.h>

static int append(void *data, const char *bytes, size_t len)
{
	buf_add(data, bytes, len);
	return 0;
}

void pack_string(struct buf *ret, const char *text)
{
	msgpack_packer packer;
	size_t len = strlen(text);

	msgpack_packer_init(&packer, ret, append);
	msgpack_pack_str(&packer, len);
	msgpack_pack_str_body(&packer, text, len);
}

void pack_array_header(struct buf *ret, size_t count)
{
	msgpack_packer packer;

	msgpack_packer_init(&packer, ret, append);
	msgpack_pack_array(&packer, count);
}

static void add_key(struct pack *pack, const char *key)
{
	pack_string(&pack->body, key);
	pack->count++;
}

void pack_text(struct pack *pack, const char *key, const char *value)
{
	add_key(pack, key);
	pack_string(&pack->body, value);
}

void pack_int(struct pack *pack, const char *key, int64_t value)
{
	msgpack_packer packer;

	add_key(pack, key);
	msgpack_packer_init(&packer, &pack->body, append);
	msgpack_pack_int64(&packer, value);
}

void pack_true(struct pack *pack, const char *key)
{
	msgpack_packer packer;

	add_key(pack, key);
	msgpack_packer_init(&packer, &pack->body, append);
	msgpack_pack_true(&packer);
}

void pack_texts(struct pack *pack, const char *key, const char *const *texts, size_t count)
{
	add_key(pack, key);
	pack_array_header(&pack->body, count);
	for (size_t i = 0; i < count; i++)
		pack_string(&pack->body, texts[i]);
}

void pack_value(struct pack *pack, const char *key, const struct buf *packed)
{
	add_key(pack, key);
	buf_add(&pack->body, packed->data, packed->len);
}

void pack_write(const struct pack *pack, struct buf *ret)
{
	msgpack_packer packer;

	msgpack_packer_init(&packer, ret, append);
	msgpack_pack_map(&packer, pack->count);
	if (pack->body.len)
		buf_add(ret, pack->body.data, pack->body.len);
}

void pack_map(struct pack *pack, const char *key, const struct pack *map)
{
	add_key(pack, key);
	pack_write(map, &pack->body);
}

void pack_release(struct pack *pack)
{
	buf_release(&pack->body);
	pack->count = 0;
}
