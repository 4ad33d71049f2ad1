#include "job/yaml_pack.h"

#include <math.h>
#include <msgpack.h>
#include <string.h>

#include "base/utf8.h"

static int add_bytes(void *buf, const char *bytes, size_t len)
{
	buf_add(buf, bytes, len);
	return 0;
}

static int pack_text(msgpack_packer *packer, const struct yaml_node *node, const char *text, size_t len,
		     struct err *err)
{
	if (!utf8_valid(text, len))
		return yaml_error(err, node, "text that is not UTF-8");
	msgpack_pack_str(packer, len);
	msgpack_pack_str_body(packer, text, len);
	return 0;
}

static int pack_scalar(msgpack_packer *packer, const struct yaml_node *node, struct err *err)
{
	struct yaml_scalar value;

	switch (yaml_scalar_type(node, &value)) {
	case YAML_TYPE_NULL: msgpack_pack_nil(packer); return 0;
	case YAML_TYPE_BOOL:
		if (value.boolean)
			msgpack_pack_true(packer);
		else
			msgpack_pack_false(packer);
		return 0;
	case YAML_TYPE_INT: msgpack_pack_int64(packer, value.integer); return 0;
	case YAML_TYPE_UINT: msgpack_pack_uint64(packer, value.natural); return 0;
	case YAML_TYPE_HUGE:
		return yaml_error(err, node, "the number %.60s does not fit 64 bits; quote it to send it as text",
				  node->text);
	case YAML_TYPE_REAL:
		if (!isfinite(value.real))
			return yaml_error(err, node, "%.60s is no number that JSON can say", node->text);
		msgpack_pack_double(packer, value.real);
		return 0;
	default: return pack_text(packer, node, node->text, node->len, err);
	}
}

static int pack(msgpack_packer *packer, const struct yaml_node *node, struct err *err)
{
	if (node->kind == YAML_SCALAR)
		return pack_scalar(packer, node, err);
	if (node->kind == YAML_MAP)
		msgpack_pack_map(packer, node->count);
	else
		msgpack_pack_array(packer, node->count);
	for (size_t i = 0; i < node->count; i++) {
		const struct yaml_node *item = node->items[i];
		if (node->kind == YAML_MAP && pack_text(packer, item, item->key, strlen(item->key), err))
			return ERR_INPUT;
		if (pack(packer, item, err))
			return ERR_INPUT;
	}
	return 0;
}

int yaml_to_msgpack(const struct yaml_node *node, struct buf *ret, struct err *err)
{
	msgpack_packer packer;
	msgpack_packer_init(&packer, ret, add_bytes);
	return pack(&packer, node, err);
}
