#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "base/utf8.h"
#include "job/json.h"

static void to_json(const struct buf *packed, struct buf *ret)
{
	msgpack_unpacked unpacked;
	struct err err;

	msgpack_unpacked_init(&unpacked);
	cr_assert(msgpack_unpack_next(&unpacked, packed->data, packed->len, NULL) == MSGPACK_UNPACK_SUCCESS);
	cr_assert(msgpack_to_json(&unpacked.data, ret, &err) == 0, "%s", err.text);
	msgpack_unpacked_destroy(&unpacked);
}

static void expect_trip(const char *json, const char *expected)
{
	struct buf packed = BUF_INIT, text = BUF_INIT;
	struct err err;

	cr_assert(json_to_msgpack(json, strlen(json), JOB_MAX_DEPTH, &packed, &err) == 0, "%s: %s", json, err.text);
	cr_expect(msgpack_check(packed.data, packed.len, &err) == 0, "%s: %s", json, err.text);
	to_json(&packed, &text);
	cr_expect_str_eq(text.data, expected);
	buf_release(&packed);
	buf_release(&text);
}

Test(json, round_trips)
{
	expect_trip("null", "null");
	expect_trip(" [ ] ", "[]");
	expect_trip("{}", "{}");
	expect_trip("[true,false,null]", "[true,false,null]");
	expect_trip("{\"b\":1,\"a\":2}", "{\"b\":1,\"a\":2}");
	expect_trip("\"\\u0000\\n\\\"\\\\\\u007f\xc3\xa9\\ud83d\\ude00\"",
		    "\"\\u0000\\n\\\"\\\\\\u007f\xc3\xa9\xf0\x9f\x98\x80\"");
	/* what a terminal takes for the beginning of a sequence, and its neighbours */
	expect_trip("\"\xc2\x80\xc2\x9b\xc2\x9f\xc2\xa0\xc3\x9b\"", "\"\\u0080\\u009b\\u009f\xc2\xa0\xc3\x9b\"");
	expect_trip("[0.1,1e300,1.0,-0.0,1e21,0.30000000000000004]", "[0.1,1e+300,1.0,-0.0,1e+21,0.30000000000000004]");
}

Test(json, integers_keep_their_value)
{
	expect_trip("[9223372036854775807,-9223372036854775808]", "[9223372036854775807,-9223372036854775808]");
	expect_trip("[9223372036854775808,18446744073709551615]", "[9223372036854775808,18446744073709551615]");
	expect_trip(
		"{\"18446744073709551615\":1,\"a\":[2,18446744073709551614,0.5],\"b\":10000000000000000000,\"c\":-3}",
		"{\"18446744073709551615\":1,\"a\":[2,18446744073709551614,0.5],\"b\":10000000000000000000,\"c\":-3}");
	expect_trip("\"\\\"18446744073709551615\"", "\"\\\"18446744073709551615\"");
}

Test(json, integers_beyond_64_bits_are_refused)
{
	static const char *const rows[] = {"18446744073709551616", "-9223372036854775809", "[1,99999999999999999999]",
					   "100000000000000000000000000000"};
	struct buf packed = BUF_INIT;
	struct err err;

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		cr_expect(json_to_msgpack(rows[i], strlen(rows[i]), JOB_MAX_DEPTH, &packed, &err) == ERR_INPUT, "%s",
			  rows[i]);
	buf_release(&packed);
}

Test(json, malformed_text_is_refused)
{
	static const char *const rows[] = {
		"",
		"{",
		"[1,]",
		"{\"a\":}",
		"{'a':1}",
		"nul",
		"\"abc",
		"\"\\",
		"01",
		"1 2",
		"[1}",
		"-",
		"1.",
		".5",
		"+1",
		"0x10",
		"NaN",
		"Infinity",
		"[1] // c",
		"\"\t\"",
		"\"\\x\"",
		"]",
		"{\"a\" 1}",
		"18446744073709551615x",
		"1-18446744073709551615",
	};
	struct buf packed = BUF_INIT;
	struct err err;

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		cr_expect(json_to_msgpack(rows[i], strlen(rows[i]), JOB_MAX_DEPTH, &packed, &err) == ERR_INPUT, "%s",
			  rows[i]);
		cr_expect(*err.text && utf8_valid(err.text, strlen(err.text)));
	}
	buf_release(&packed);
}

Test(json, what_json_cannot_say)
{
	msgpack_object_kv pair = {{.type = MSGPACK_OBJECT_POSITIVE_INTEGER}, {.type = MSGPACK_OBJECT_NIL}};
	msgpack_object nan = {.type = MSGPACK_OBJECT_FLOAT64, .via.f64 = NAN};
	msgpack_object binary = {.type = MSGPACK_OBJECT_BIN};
	msgpack_object map = {.type = MSGPACK_OBJECT_MAP, .via.map = {1, &pair}};
	struct buf text = BUF_INIT;
	struct err err;

	cr_expect(msgpack_to_json(&nan, &text, &err) == ERR_INPUT);
	cr_expect(msgpack_to_json(&binary, &text, &err) == ERR_INPUT);
	cr_expect(msgpack_to_json(&map, &text, &err) == ERR_INPUT);
	buf_release(&text);
}

Test(json, strings_are_always_utf8)
{
	struct buf text = BUF_INIT;

	json_add_string(&text, "a\xff\xe2\x82z\x01\x1b", 7);
	cr_expect_str_eq(text.data, "\"a\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdz\\u0001\\u001b\"");
	buf_reset(&text);
	json_add_string(&text, NULL, 0);
	cr_expect_str_eq(text.data, "\"\"");
	buf_release(&text);
}

Test(utf8, strict)
{
	static const char *const good[] = {"",
					   "plain ascii text",
					   "\xc3\xa9",
					   "\xe2\x82\xac",
					   "\xf0\x9f\x98\x80",
					   "\xee\x80\x80",
					   "\xf4\x8f\xbf\xbf",
					   "12345678\xc3\xa9xyzxyzxyz"};
	static const char *const bad[] = {"\x80",
					  "\xc0\x80",
					  "\xc1\xbf",
					  "\xc3",
					  "\xe0\x80\x80",
					  "\xe2\x82",
					  "\xed\xa0\x80",
					  "\xed\xbf\xbf",
					  "\xf0\x80\x80\x80",
					  "\xf4\x90\x80\x80",
					  "\xf5\x80\x80\x80",
					  "\xff",
					  "12345678\xc3",
					  "\xc3\xc3"};

	for (size_t i = 0; i < sizeof good / sizeof *good; i++)
		cr_expect(utf8_valid(good[i], strlen(good[i])), "good %zu", i);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		cr_expect(!utf8_valid(bad[i], strlen(bad[i])), "bad %zu", i);
}
