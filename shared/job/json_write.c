/* MessagePack to JSON text (job/json.h). */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_escape.h"
#include "job/json.h"

void json_add_string(struct buf *ret, const char *text, size_t len) { json_escape(ret, text, len); }

/* The shorter of two texts that read back as the same number, and that JSON takes for a real. */
static void add_real(double real, struct buf *ret)
{
	char text[40];
	char *comma;

	snprintf(text, sizeof text, "%.15g", real);
	if (strtod(text, NULL) != real)
		snprintf(text, sizeof text, "%.17g", real);
	comma = strchr(text, ','); /* a locale's */
	if (comma)
		*comma = '.';
	buf_adds(ret, text);
	if (!strpbrk(text, ".e"))
		buf_adds(ret, ".0");
}

static int add_array(const msgpack_object_array *array, struct buf *ret, struct err *err)
{
	buf_add(ret, "[", 1);
	for (uint32_t i = 0; i < array->size; i++) {
		if (i)
			buf_add(ret, ",", 1);
		if (msgpack_to_json(&array->ptr[i], ret, err))
			return ERR_INPUT;
	}
	buf_add(ret, "]", 1);
	return 0;
}

static int add_map(const msgpack_object_map *map, struct buf *ret, struct err *err)
{
	buf_add(ret, "{", 1);
	for (uint32_t i = 0; i < map->size; i++) {
		const msgpack_object_kv *pair = &map->ptr[i];
		if (pair->key.type != MSGPACK_OBJECT_STR)
			return err_set(err, ERR_INPUT, "a map with a key that is not text cannot be JSON");
		if (i)
			buf_add(ret, ",", 1);
		json_escape(ret, pair->key.via.str.ptr, pair->key.via.str.size);
		buf_add(ret, ":", 1);
		if (msgpack_to_json(&pair->val, ret, err))
			return ERR_INPUT;
	}
	buf_add(ret, "}", 1);
	return 0;
}

int msgpack_to_json(const msgpack_object *object, struct buf *ret, struct err *err)
{
	switch (object->type) {
	case MSGPACK_OBJECT_NIL: buf_adds(ret, "null"); return 0;
	case MSGPACK_OBJECT_BOOLEAN: buf_adds(ret, object->via.boolean ? "true" : "false"); return 0;
	case MSGPACK_OBJECT_POSITIVE_INTEGER: buf_addf(ret, "%" PRIu64, object->via.u64); return 0;
	case MSGPACK_OBJECT_NEGATIVE_INTEGER: buf_addf(ret, "%" PRId64, object->via.i64); return 0;
	case MSGPACK_OBJECT_FLOAT32:
	case MSGPACK_OBJECT_FLOAT64:
		if (!isfinite(object->via.f64))
			return err_set(err, ERR_INPUT, "a number that is NaN or infinite cannot be JSON");
		add_real(object->via.f64, ret);
		return 0;
	case MSGPACK_OBJECT_STR: json_escape(ret, object->via.str.ptr, object->via.str.size); return 0;
	case MSGPACK_OBJECT_ARRAY: return add_array(&object->via.array, ret, err);
	case MSGPACK_OBJECT_MAP: return add_map(&object->via.map, ret, err);
	default: return err_set(err, ERR_INPUT, "binary data or an extension type cannot be JSON");
	}
}
