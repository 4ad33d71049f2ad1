/* What holds for any MessagePack from outside, looked at before msgpack-c sees it (job/json.h, msgpack_check).
 *
 * The walk goes down by recursion, no deeper than JOB_MAX_DEPTH, and holds each map's keys against each other: by
 * looking at all pairs in small maps, by sorting in large ones, so that no body makes it slow. Errors name the field
 * of the outermost map and the byte. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "job/json.h"
#include "job/mpread.h"
#include "job/quote.h"

#define FEW_KEYS 16

struct key {
	const char *text;
	size_t len;
};

struct check {
	struct mp_cursor cursor;
	struct key field; /* of the outermost map, once in it */
	struct err *err;
};

static int check_value(struct check *check, int depth);

static int fail(struct check *check, const char *at, const char *what)
{
	char name[QUOTE_TEXT];
	long byte = (long)(at - check->cursor.start);

	if (check->field.text)
		err_set(check->err, ERR_INPUT, "field `%s`, byte %ld: %s",
			quote_text(name, check->field.text, check->field.len), byte, what);
	else
		err_set(check->err, ERR_INPUT, "MessagePack, byte %ld: %s", byte, what);
	return ERR_INPUT;
}

static bool same_key(const struct key *a, const struct key *b)
{
	return a->len == b->len && memcmp(a->text, b->text, a->len) == 0;
}

static int compare_keys(const void *left, const void *right)
{
	const struct key *a = left, *b = right;
	size_t len = a->len < b->len ? a->len : b->len;
	int order = memcmp(a->text, b->text, len);
	return order ? order : (a->len > b->len) - (a->len < b->len);
}

static int fail_twice(struct check *check, const struct key *key)
{
	char name[QUOTE_TEXT], text[QUOTE_TEXT + 32];
	snprintf(text, sizeof text, "the key `%s` stands twice in one map", quote_text(name, key->text, key->len));
	return fail(check, key->text, text);
}

static int check_keys(struct check *check, struct key *keys, size_t count)
{
	if (count <= FEW_KEYS) {
		for (size_t i = 1; i < count; i++)
			for (size_t j = 0; j < i; j++)
				if (same_key(&keys[i], &keys[j]))
					return fail_twice(check, &keys[i]);
		return 0;
	}
	qsort(keys, count, sizeof *keys, compare_keys);
	for (size_t i = 1; i < count; i++)
		if (same_key(&keys[i - 1], &keys[i]))
			return fail_twice(check, &keys[i]);
	return 0;
}

static int check_text(struct check *check, const struct mp_value *value)
{
	if (!utf8_valid(value->text, value->len))
		return fail(check, value->text, "text that is not UTF-8");
	return 0;
}

static int check_pairs(struct check *check, struct key *keys, size_t count, int depth)
{
	for (size_t i = 0; i < count; i++) {
		const char *at = check->cursor.at;
		struct mp_value value;

		if (!mp_next(&check->cursor, &value))
			return fail(check, at, "the message ends too early, or is broken");
		if (value.type != MP_TEXT)
			return fail(check, at, "a key that is not text; keys must be text");
		if (check_text(check, &value))
			return ERR_INPUT;
		keys[i] = (struct key){value.text, value.len};
		if (depth == 1)
			check->field = keys[i];
		if (check_value(check, depth + 1))
			return ERR_INPUT;
	}
	return 0;
}

static int check_map(struct check *check, size_t count, int depth)
{
	struct key few[FEW_KEYS];
	struct key *keys = few;
	int error;

	if (count > FEW_KEYS)
		keys = xmalloc(count * sizeof *keys);
	error = check_pairs(check, keys, count, depth);
	if (!error && depth == 1)
		check->field = (struct key){NULL, 0};
	if (!error)
		error = check_keys(check, keys, count);
	if (keys != few)
		free(keys);
	return error;
}

static int check_array(struct check *check, size_t count, int depth)
{
	for (size_t i = 0; i < count; i++)
		if (check_value(check, depth + 1))
			return ERR_INPUT;
	return 0;
}

/* `depth` is the level that a container found here is on. */
static int check_value(struct check *check, int depth)
{
	const char *at = check->cursor.at;
	struct mp_value value;

	mp_next(&check->cursor, &value);
	switch (value.type) {
	case MP_TEXT: return check_text(check, &value);
	case MP_BINARY: return fail(check, at, "binary data; send text, or a reference to where the data is");
	case MP_EXTENSION: return fail(check, at, "an extension type; only what JSON can say is taken");
	case MP_RESERVED: return fail(check, at, "the byte 0xc1, which no MessagePack has");
	case MP_SHORT: return fail(check, at, "the message ends too early: it promises more than it holds");
	case MP_REAL: return isfinite(value.real) ? 0 : fail(check, at, "a number that is NaN or infinite");
	case MP_ARRAY:
	case MP_MAP:
		if (depth > JOB_MAX_DEPTH)
			return fail(check, at, "nested deeper than 32 levels");
		if (value.type == MP_MAP)
			return check_map(check, value.count, depth);
		return check_array(check, value.count, depth);
	default: return 0;
	}
}

int msgpack_check(const char *bytes, size_t len, struct err *err)
{
	struct check check = {.cursor = {bytes, bytes, bytes + len}, .err = err};

	if (len == 0)
		return err_set(err, ERR_INPUT, "the body is empty");
	if (check_value(&check, 1))
		return ERR_INPUT;
	if (check.cursor.at != check.cursor.end)
		return fail(&check, check.cursor.at, "bytes behind the end of the value");
	return 0;
}
