#include "job/mpread.h"

#include <math.h>
#include <string.h>

static size_t left(const struct mp_cursor *cursor) { return (size_t)(cursor->end - cursor->at); }

static uint64_t big_endian(const char *at, size_t size)
{
	uint64_t n = 0;
	for (size_t i = 0; i < size; i++)
		n = n << 8 | (unsigned char)at[i];
	return n;
}

static void set_int(struct mp_value *ret, int64_t n)
{
	ret->type = MP_INT;
	ret->integer = n;
}

static void set_uint(struct mp_value *ret, uint64_t n)
{
	if (n <= INT64_MAX) {
		set_int(ret, (int64_t)n);
		return;
	}
	ret->type = MP_UINT;
	ret->natural = n;
}

static void set_signed(struct mp_value *ret, uint64_t n, size_t size)
{
	switch (size) {
	case 1: set_int(ret, (int8_t)n); break;
	case 2: set_int(ret, (int16_t)n); break;
	case 4: set_int(ret, (int32_t)n); break;
	default: set_int(ret, (int64_t)n);
	}
}

static void set_real(struct mp_value *ret, uint64_t n, size_t size)
{
	ret->type = MP_REAL;
	if (size == sizeof(float)) {
		uint32_t bits = (uint32_t)n;
		float real;
		memcpy(&real, &bits, sizeof real);
		ret->real = real;
		return;
	}
	memcpy(&ret->real, &n, sizeof n);
}

/* Text, binary or extension: `len` bytes behind the `head` bytes of its header. */
static bool take_bytes(struct mp_cursor *cursor, size_t head, uint64_t len, enum mp_type type, struct mp_value *ret)
{
	if (len > left(cursor) - head) {
		ret->type = MP_SHORT;
		return false;
	}
	ret->type = type;
	ret->text = cursor->at + head;
	ret->len = (size_t)len;
	cursor->at += head + (size_t)len;
	return true;
}

static bool take_container(struct mp_cursor *cursor, size_t head, uint64_t count, enum mp_type type,
			   struct mp_value *ret)
{
	uint64_t least = type == MP_MAP ? count * 2 : count;
	if (least > left(cursor) - head) {
		ret->type = MP_SHORT;
		return false;
	}
	ret->type = type;
	ret->count = (size_t)count;
	cursor->at += head;
	return true;
}

static bool take_number(struct mp_cursor *cursor, unsigned char first, uint64_t n, size_t size, struct mp_value *ret)
{
	if (first <= 0xcb)
		set_real(ret, n, size);
	else if (first <= 0xcf)
		set_uint(ret, n);
	else
		set_signed(ret, n, size);
	cursor->at += 1 + size;
	return true;
}

/* Values whose first byte says all about their kind and the size of what follows: 0xc4 to 0xdf. */
static bool next_long(struct mp_cursor *cursor, unsigned char first, struct mp_value *ret)
{
	static const unsigned char sizes[] = {1, 2, 4, 1, 2, 4, 4, 8, 1, 2, 4, 8, 1, 2,
					      4, 8, 0, 0, 0, 0, 0, 1, 2, 4, 2, 4, 2, 4};
	size_t size = sizes[first - 0xc4];
	uint64_t n;

	if (size > left(cursor) - 1) {
		ret->type = MP_SHORT;
		return false;
	}
	n = big_endian(cursor->at + 1, size);
	if (first <= 0xc6)
		return take_bytes(cursor, 1 + size, n, MP_BINARY, ret);
	if (first <= 0xc9)
		return take_bytes(cursor, 1 + size, n + 1, MP_EXTENSION, ret);
	if (first <= 0xd3)
		return take_number(cursor, first, n, size, ret);
	if (first <= 0xd8)
		return take_bytes(cursor, 1, (UINT64_C(1) << (first - 0xd4)) + 1, MP_EXTENSION, ret);
	if (first <= 0xdb)
		return take_bytes(cursor, 1 + size, n, MP_TEXT, ret);
	return take_container(cursor, 1 + size, n, first <= 0xdd ? MP_ARRAY : MP_MAP, ret);
}

static bool next_small(struct mp_cursor *cursor, unsigned char first, struct mp_value *ret)
{
	if (first == 0xc1) {
		ret->type = MP_RESERVED;
		return false;
	}
	if (first == 0xc0) {
		ret->type = MP_NIL;
	} else if (first == 0xc2 || first == 0xc3) {
		ret->type = MP_BOOL;
		ret->boolean = first == 0xc3;
	} else {
		set_int(ret, first >= 0xe0 ? (int64_t)first - 256 : first);
	}
	cursor->at++;
	return true;
}

bool mp_next(struct mp_cursor *cursor, struct mp_value *ret)
{
	unsigned char first;

	if (left(cursor) == 0) {
		ret->type = MP_SHORT;
		return false;
	}
	first = (unsigned char)*cursor->at;
	if (first >= 0xa0 && first <= 0xbf)
		return take_bytes(cursor, 1, first & 0x1f, MP_TEXT, ret);
	if (first >= 0x80 && first <= 0x8f)
		return take_container(cursor, 1, first & 0x0f, MP_MAP, ret);
	if (first >= 0x90 && first <= 0x9f)
		return take_container(cursor, 1, first & 0x0f, MP_ARRAY, ret);
	if (first >= 0xc4 && first <= 0xdf)
		return next_long(cursor, first, ret);
	return next_small(cursor, first, ret);
}

bool mp_skip(struct mp_cursor *cursor)
{
	struct mp_value value;
	uint64_t pending = 1;

	while (pending-- > 0) {
		if (!mp_next(cursor, &value))
			return false;
		if (value.type == MP_ARRAY)
			pending += value.count;
		else if (value.type == MP_MAP)
			pending += 2 * (uint64_t)value.count;
	}
	return true;
}

const char *mp_describe(enum mp_type type)
{
	static const char *const words[] = {
		[MP_NIL] = "null",         [MP_BOOL] = "true or false",
		[MP_INT] = "a number",     [MP_UINT] = "a number",
		[MP_REAL] = "a number",    [MP_TEXT] = "text",
		[MP_ARRAY] = "a list",     [MP_MAP] = "a map",
		[MP_BINARY] = "binary",    [MP_EXTENSION] = "an extension",
		[MP_RESERVED] = "nothing", [MP_SHORT] = "incomplete",
	};
	return words[type];
}

bool mp_whole(const struct mp_value *value, int64_t *ret)
{
	static const double limit = 9007199254740992.0; /* 2^53 */

	if (value->type == MP_INT) {
		*ret = value->integer;
		return true;
	}
	if (value->type != MP_REAL || !(fabs(value->real) < limit) || trunc(value->real) != value->real)
		return false;
	*ret = (int64_t)value->real;
	return true;
}
