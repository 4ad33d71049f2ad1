/* JSON to MessagePack, by Jansson (job/json.h).
 *
 * Jansson knows no integers above int64 and goes down by recursion, so the text is scanned before: for its depth, and
 * for integers between 2^63 and 2^64-1. Those are noted by their place among the numbers of the text, and Jansson reads
 * a copy that has 0 in their stead; as it keeps the order of the members and refuses a key that stands twice, the n-th
 * number of the tree is the n-th of the text. */
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "job/json.h"
#include "job/quote.h"

/* An integer that Jansson cannot hold. */
struct big {
	size_t ordinal; /* among the numbers of the text, from 0 */
	uint64_t value;
};

struct reader {
	const char *text;
	size_t len;
	int max_depth;
	char *copy; /* where there are big ones */
	struct big *bigs;
	size_t big_count;
	size_t next_big;
	size_t numbers;
	struct err *err;
};

static int fail_at(struct reader *reader, size_t at, const char *what)
{
	return err_set(reader->err, ERR_INPUT, "JSON, byte %zu: %s", at, what);
}

static size_t string_end(const struct reader *reader, size_t at)
{
	for (at++; at < reader->len && reader->text[at] != '"'; at++)
		if (reader->text[at] == '\\')
			at++;
	return at + 1;
}

static size_t number_end(const struct reader *reader, size_t at)
{
	while (at < reader->len && reader->text[at] && strchr("0123456789+-.eE", reader->text[at]))
		at++;
	return at;
}

static bool all_digits(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (text[i] < '0' || text[i] > '9')
			return false;
	return len > 0;
}

/* A run of digits that may be above int64: notes it, and puts 0 and blanks in its place. */
static int scan_big(struct reader *reader, size_t at, size_t len)
{
	char digits[24];
	uint64_t value;

	if (len >= sizeof digits)
		return fail_at(reader, at, "an integer beyond 64 bits; send it as text");
	memcpy(digits, reader->text + at, len);
	digits[len] = '\0';
	errno = 0;
	value = strtoull(digits, NULL, 10);
	if (errno == ERANGE)
		return fail_at(reader, at, "an integer beyond 64 bits; send it as text");
	if (value <= INT64_MAX)
		return 0;
	if (!reader->copy)
		reader->copy = xmemdup0(reader->text, reader->len);
	if ((reader->big_count & (reader->big_count - 1)) == 0)
		reader->bigs = xrealloc(reader->bigs, (reader->big_count * 2 + 1) * sizeof *reader->bigs);
	reader->bigs[reader->big_count++] = (struct big){reader->numbers, value};
	memset(reader->copy + at, ' ', len);
	reader->copy[at] = '0';
	return 0;
}

static int scan_number(struct reader *reader, size_t *at)
{
	size_t end = number_end(reader, *at), len = end - *at;

	if (len >= 19 && reader->text[*at] != '0' && all_digits(reader->text + *at, len) && scan_big(reader, *at, len))
		return ERR_INPUT;
	reader->numbers++;
	*at = end;
	return 0;
}

static int scan(struct reader *reader)
{
	int depth = 0;

	for (size_t at = 0; at < reader->len;) {
		char c = reader->text[at];
		if (c == '"') {
			at = string_end(reader, at);
			continue;
		}
		if (c == '-' || (c >= '0' && c <= '9')) {
			if (scan_number(reader, &at))
				return ERR_INPUT;
			continue;
		}
		if ((c == '{' || c == '[') && ++depth > reader->max_depth)
			return err_set(reader->err, ERR_INPUT, "JSON, byte %zu: nested deeper than %d levels", at,
				       reader->max_depth);
		if (c == '}' || c == ']')
			depth--;
		at++;
	}
	return 0;
}

static void pack(struct reader *reader, msgpack_packer *packer, json_t *value);

static void pack_string(msgpack_packer *packer, const char *text, size_t len)
{
	msgpack_pack_str(packer, len);
	msgpack_pack_str_body(packer, text, len);
}

static void pack_object(struct reader *reader, msgpack_packer *packer, json_t *object)
{
	msgpack_pack_map(packer, json_object_size(object));
	for (void *at = json_object_iter(object); at; at = json_object_iter_next(object, at)) {
		pack_string(packer, json_object_iter_key(at), json_object_iter_key_len(at));
		pack(reader, packer, json_object_iter_value(at));
	}
}

static void pack_array(struct reader *reader, msgpack_packer *packer, json_t *array)
{
	size_t count = json_array_size(array);
	msgpack_pack_array(packer, count);
	for (size_t i = 0; i < count; i++)
		pack(reader, packer, json_array_get(array, i));
}

static void pack_number(struct reader *reader, msgpack_packer *packer, const json_t *number)
{
	size_t ordinal = reader->numbers++;

	if (reader->next_big < reader->big_count && reader->bigs[reader->next_big].ordinal == ordinal)
		msgpack_pack_uint64(packer, reader->bigs[reader->next_big++].value);
	else if (json_is_integer(number))
		msgpack_pack_int64(packer, json_integer_value(number));
	else
		msgpack_pack_double(packer, json_real_value(number));
}

static void pack(struct reader *reader, msgpack_packer *packer, json_t *value)
{
	switch (json_typeof(value)) {
	case JSON_OBJECT: pack_object(reader, packer, value); break;
	case JSON_ARRAY: pack_array(reader, packer, value); break;
	case JSON_STRING: pack_string(packer, json_string_value(value), json_string_length(value)); break;
	case JSON_INTEGER:
	case JSON_REAL: pack_number(reader, packer, value); break;
	case JSON_TRUE: msgpack_pack_true(packer); break;
	case JSON_FALSE: msgpack_pack_false(packer); break;
	case JSON_NULL: msgpack_pack_nil(packer); break;
	}
}

static int add_bytes(void *buf, const char *bytes, size_t len)
{
	buf_add(buf, bytes, len);
	return 0;
}

static int read_tree(struct reader *reader, struct buf *ret)
{
	json_error_t error;
	msgpack_packer packer;
	char text[QUOTE_TEXT];
	json_t *tree = json_loadb(reader->copy ? reader->copy : reader->text, reader->len,
				  JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL | JSON_DECODE_ANY, &error);

	if (!tree)
		return err_set(reader->err, ERR_INPUT, "JSON, line %d, column %d: %s", error.line, error.column,
			       quote_text(text, error.text, strlen(error.text)));
	buf_grow(ret, reader->len);
	msgpack_packer_init(&packer, ret, add_bytes);
	reader->numbers = 0;
	pack(reader, &packer, tree);
	json_decref(tree);
	return 0;
}

int json_to_msgpack(const char *text, size_t len, int max_depth, struct buf *ret, struct err *err)
{
	struct reader reader = {.text = text, .len = len, .max_depth = max_depth, .err = err};
	int error;

	if (len == 0)
		return err_set(err, ERR_INPUT, "the body is empty");
	error = scan(&reader);
	if (!error)
		error = read_tree(&reader, ret);
	free(reader.copy);
	free(reader.bigs);
	return error;
}
