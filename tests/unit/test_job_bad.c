/* Messages that are no jobs, each with the error that a client reads in x-flotilla-reason. */
#include <criterion/criterion.h>
#include <string.h>

#include "base/buf.h"
#include "job/job.h"

struct bad {
	const char *body;
	size_t len; /* 0: strlen */
	const char *expected;
	const char *content_type;
	const char *content_encoding;
	const char *message_id;
	const char *reply_to;
};

#define RAW(bytes) .body = (bytes), .len = sizeof(bytes) - 1

static const struct bad rows[] = {
	/* not decodable */
	{.body = "", .expected = "the body is empty"},
	{.body = "", .expected = "the body is empty", .content_type = "application/json"},
	{.body = "{", .expected = "JSON, line 1"},
	{.body = "{\"task\":\"t\"", .expected = "JSON, line 1"},
	{.body = "{\"task\":\"t\"} x", .expected = "JSON, line 1, column 14: end of file expected"},
	{.body = "{\"task\":\"\xff\"}", .expected = "unable to decode byte"},
	{.body = "{\"task\":\"\\ud800\"}", .expected = "invalid Unicode"},
	{.body = "{\"task\":\"t\",\"task\":\"u\"}", .expected = "duplicate object key"},
	{.body = "{\"task\":\"t\",\"args\":{\"a\":1,\"a\":2}}", .expected = "duplicate object key"},
	{.body = "{\"task\":\"t\",\"args\":NaN}", .expected = "JSON, line 1"},
	{.body = "{\"task\":\"t\",\"args\":1e999}", .expected = "real number overflow"},
	{.body = "{\"task\":\"t\",\"args\":18446744073709551616}", .expected = "beyond 64 bits; send it as text"},
	{.body = "{\"task\":\"t\",\"args\":-9223372036854775809}", .expected = "too big negative integer"},
	{.body = "{\"task\":\"t\",\"args\":123456789012345678901234567890}", .expected = "byte 19: an integer beyond"},
	{RAW("\x81\xa4task"), .expected = "field `task`, byte 6: the message ends too early"},
	{RAW("\x81\xa4task\xa5to"), .expected = "the message ends too early"},
	{RAW("\xdf\xff\xff\xff\xff"), .expected = "the message ends too early"},
	{RAW("\xdd\xff\xff\xff\xff"), .expected = "the message ends too early"},
	{RAW("\xdb\xff\xff\xff\xffx"), .expected = "the message ends too early"},
	{RAW("\x81\xa4task\xa1t\x00"), .expected = "byte 8: bytes behind the end"},
	{RAW("\x81\xa4task\xa1\xff"), .expected = "field `task`, byte 7: text that is not UTF-8"},
	{RAW("\x81\xa4task\xa3\xed\xa0\x80"), .expected = "text that is not UTF-8"},
	{RAW("\x82\xa4task\xa1t\xa4task\xa1t"), .expected = "the key `task` stands twice"},
	{RAW("\x82\xa4task\xa1t\xa4"
	     "args\x82\xa1"
	     "a\x01\xa1"
	     "a\x02"),
	 .expected = "field `args`, byte 18: the key `a` stands twice"},
	{RAW("\x81\x01\x02"), .expected = "a key that is not text"},
	{RAW("\x82\xa4task\xa1t\xa4"
	     "args\xc4\x01x"),
	 .expected = "field `args`, byte 13: binary data"},
	{RAW("\x82\xa4task\xa1t\xa4"
	     "args\xd4\x01x"),
	 .expected = "field `args`, byte 13: an extension"},
	{RAW("\x82\xa4task\xa1t\xa4"
	     "args\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00"),
	 .expected = "NaN or infinite"},
	{RAW("\x82\xa4task\xa1t\xa4"
	     "args\xca\x7f\x80\x00\x00"),
	 .expected = "NaN or infinite"},
	{RAW("\xc1"), .expected = "the byte 0xc1"},
	/* not a map */
	{RAW("\x93\x01\x02\x03"), .expected = "a job must be a map, not a list"},
	{RAW("\xa1t"), .expected = "a job must be a map, not text"},
	{.body = "[]", .expected = "a job must be a map, not a list", .content_type = "application/json"},
	{.body = "7", .expected = "a job must be a map, not a number", .content_type = "application/json"},
	/* properties */
	{.body = "{}", .expected = "content type `text/plain`", .content_type = "text/plain"},
	{.body = "{}", .expected = "content encoding `gzip`", .content_encoding = "gzip"},
	{.body = "{\"task\":\"t\"}", .expected = "message_id \"a:b\" stands for the id", .message_id = "a:b"},
	{.body = "{\"task\":\"t\"}", .expected = "reply_to: `flotilla` is", .reply_to = "flotilla"},
	{.body = "{\"task\":\"t\"}", .expected = "is a queue of the fleet", .reply_to = "flotilla.default.low"},
	/* fields */
	{.body = "{}", .expected = "field `task`: missing"},
	{.body = "{\"task\":null}", .expected = "field `task`: missing"},
	{.body = "{\"task\":\"\"}", .expected = "field `task`: must not be empty"},
	{.body = "{\"task\":5}", .expected = "field `task`: must be text, not 5"},
	{.body = "{\"task\":\"a\\u0000b\"}", .expected = "field `task`: must not hold a NUL"},
	{.body = "{\"task\":\"a\\nb\"}", .expected = "field `task`: must not hold control"},
	{.body = "{\"task\":\"t\",\"tsk\":1}", .expected = "field `tsk`: unknown in version 1"},
	{RAW("\x82\xa4task\xa1t\xa8"
	     "args\0\0\0\0"
	     "\x01"),
	 .expected = "unknown in version 1"},
	{.body = "{\"task\":\"t\",\"v\":2}", .expected = "field `v`: must be 1"},
	{.body = "{\"task\":\"t\",\"v\":\"1\"}", .expected = "field `v`: must be 1"},
	{.body = "{\"task\":\"t\",\"id\":\"a:b\"}", .expected = "field `id`: must be 1 to 200"},
	{.body = "{\"task\":\"t\",\"id\":\"\"}", .expected = "field `id`: must be 1 to 200"},
	{.body = "{\"task\":\"t\",\"id\":7}", .expected = "field `id`: must be 1 to 200"},
	{.body = "{\"task\":\"t\",\"run\":\"a b\"}", .expected = "field `run`: must be 1 to 200"},
	{.body = "{\"task\":\"t\",\"argv\":\"ls\"}", .expected = "field `argv`: must be a list of texts, not text"},
	{.body = "{\"task\":\"t\",\"argv\":[]}", .expected = "field `argv`: must not be empty"},
	{.body = "{\"task\":\"t\",\"argv\":[\"a\",1]}", .expected = "field `argv`: entry 2: must be text"},
	{.body = "{\"task\":\"t\",\"argv\":[\"a\\u0000\"]}", .expected = "field `argv`: entry 1: must not hold a NUL"},
	{.body = "{\"task\":\"t\",\"env\":[]}", .expected = "field `env`: must be a map of texts"},
	{.body = "{\"task\":\"t\",\"env\":{\"A\":1}}", .expected = "field `env`: the value of `A` must be text"},
	{.body = "{\"task\":\"t\",\"env\":{\"\":\"x\"}}", .expected = "field `env`: a name must not be empty"},
	{.body = "{\"task\":\"t\",\"env\":{\"A=B\":\"x\"}}",
	 .expected = "field `env`: the name `A=B` must not hold a ="},
	{.body = "{\"task\":\"t\",\"env\":{\"A\":\"\\u0000\"}}", .expected = "the value of `A` must not hold a NUL"},
	{.body = "{\"task\":\"t\",\"labels\":{\"a\":null}}", .expected = "field `labels`: the value of `a`"},
	{.body = "{\"task\":\"t\",\"after\":\"a\"}", .expected = "field `after`: must be a list"},
	{.body = "{\"task\":\"t\",\"after\":[1]}", .expected = "field `after`: entry 1: an id must be text"},
	{.body = "{\"task\":\"t\",\"after\":[\"a:failed\"]}", .expected = "entry 1: \"a:failed\" is no id"},
	{.body = "{\"task\":\"t\",\"after\":[\"a\",{}]}", .expected = "field `after`: entry 2: has no `id`"},
	{.body = "{\"task\":\"t\",\"after\":[{\"id\":\"a\",\"wen\":1}]}", .expected = "entry 1: unknown key `wen`"},
	{.body = "{\"task\":\"t\",\"after\":[{\"id\":\"a\",\"when\":\"done\"}]}",
	 .expected = "`when` must be succeeded,"},
	{.body = "{\"task\":\"t\",\"after\":[\"a\",{\"id\":\"a\",\"when\":\"ended\"}]}",
	 .expected = "names `a` twice, with two different `when` (succeeded and ended)"},
	{.body = "{\"task\":\"t\",\"id\":\"a\",\"after\":[\"a\"]}", .expected = "wait for itself (`a`)"},
	{.body = "{\"task\":\"t\",\"after\":[\"m\"]}", .expected = "wait for itself (`m`)", .message_id = "m"},
	{.body = "{\"task\":\"t\",\"pool\":\"A\"}", .expected = "field `pool`: must be 1 to 63"},
	{.body = "{\"task\":\"t\",\"pool\":\"-a\"}", .expected = "field `pool`: must be 1 to 63"},
	{.body = "{\"task\":\"t\",\"priority\":\"urgent\"}",
	 .expected = "field `priority`: must be one of high, normal, low, not the text \"urgent\""},
	{.body = "{\"task\":\"t\",\"dedup\":\"\"}", .expected = "field `dedup`: must not be empty"},
	{.body = "{\"task\":\"t\",\"reuse\":1}", .expected = "field `reuse`: must be true or false, not 1"},
	{.body = "{\"task\":\"t\",\"reuse\":true}", .expected = "field `reuse`: needs `dedup`"},
	{.body = "{\"task\":\"t\",\"retries\":-1}",
	 .expected = "field `retries`: must be a whole number from 0 to 1000, not -1"},
	{.body = "{\"task\":\"t\",\"retries\":1001}", .expected = "from 0 to 1000, not 1001"},
	{.body = "{\"task\":\"t\",\"retries\":1.5}", .expected = "from 0 to 1000, not 1.5"},
	{.body = "{\"task\":\"t\",\"retries\":\"3\"}", .expected = "from 0 to 1000, not the text \"3\""},
	{.body = "{\"task\":\"t\",\"retries\":true}", .expected = "from 0 to 1000, not true or false"},
	{.body = "{\"task\":\"t\",\"backoff_ms\":-5}", .expected = "field `backoff_ms`: must be a whole number"},
	{.body = "{\"task\":\"t\",\"backoff_max_ms\":-5}", .expected = "field `backoff_max_ms`: must be a whole"},
	{.body = "{\"task\":\"t\",\"timeout_ms\":[]}", .expected = "field `timeout_ms`: must be a whole number"},
	{.body = "{\"task\":\"t\",\"delay_ms\":-1}", .expected = "field `delay_ms`: must be a whole number"},
	{.body = "{\"task\":\"t\",\"run_at\":-1}", .expected = "field `run_at`: must be a whole number"},
	{.body = "{\"task\":\"t\",\"run_at\":9223372036854775808}", .expected = "not 9223372036854775808"},
	{.body = "{\"task\":\"t\",\"expires_at\":1e16}", .expected = "not 10000000000000000"},
	{.body = "{\"task\":\"t\",\"keep_s\":-1}", .expected = "field `keep_s`: must be a whole number"},
	{.body = "{\"task\":\"t\",\"delay_ms\":1,\"run_at\":1}", .expected = "cannot stand beside `run_at`"},
};

static int decode(const struct bad *row, struct job *ret, struct err *err)
{
	struct job_message message = {
		.body = row->body,
		.body_len = row->len ? row->len : strlen(row->body),
		.content_type = row->content_type,
		.content_encoding = row->content_encoding,
		.message_id = row->message_id,
		.reply_to = row->reply_to,
		.pool = "default",
		.priority = "normal",
	};
	return job_decode(ret, &message, &job_limits_default, err);
}

Test(job_bad, each_has_its_error)
{
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct job job = {.task = "untouched"};
		struct err err = {0};
		int error = decode(&rows[i], &job, &err);
		cr_expect(error == ERR_INPUT, "row %zu was taken: %s", i, rows[i].body);
		cr_expect(strstr(err.text, rows[i].expected), "row %zu: expected \"%s\", got \"%s\"", i,
			  rows[i].expected, err.text);
		cr_expect_str_eq(job.task, "untouched", "row %zu", i);
	}
}

/* What JSON cannot hold short of its end must not be found by luck. */
Test(job_bad, every_truncation_is_refused)
{
	static const char whole[] = "\x84\xa4task\xa1t\xa2id\xa3xyz\xa4"
				    "args\x93\x01\x81\xa1k\xc0\xcb\x3f\xf0\x00\x00\x00\x00\x00\x00\xa5"
				    "after\x91\xa1p";
	struct bad row = {RAW(whole)};
	struct err err;
	struct job job;

	cr_assert(decode(&row, &job, &err) == 0, "%s", err.text);
	job_release(&job);
	for (size_t len = 1; len < sizeof whole - 1; len++) {
		row.len = len;
		cr_expect(decode(&row, &job, &err) == ERR_INPUT, "taken at length %zu", len);
	}
}

static void nest(struct buf *body, int levels)
{
	buf_adds(body, "{\"task\":\"t\",\"args\":");
	for (int i = 0; i < levels; i++)
		buf_adds(body, "[");
	for (int i = 0; i < levels; i++)
		buf_adds(body, "]");
	buf_adds(body, "}");
}

static int decode_nested(const char *type, const struct buf *body)
{
	struct bad row = {.body = body->data, .len = body->len, .content_type = type};
	struct err err;
	struct job job;
	int error = decode(&row, &job, &err);
	if (!error)
		job_release(&job);
	else
		cr_expect(strstr(err.text, "deeper than 32 levels"), "%s", err.text);
	return error;
}

Test(job_bad, depth_is_bounded_in_json)
{
	struct buf body = BUF_INIT;

	nest(&body, 31);
	cr_expect(decode_nested("application/json", &body) == 0);
	buf_reset(&body);
	nest(&body, 32);
	cr_expect(decode_nested("application/json", &body) == ERR_INPUT);
	buf_reset(&body);
	nest(&body, 100000);
	cr_expect(decode_nested("application/json", &body) == ERR_INPUT);
	buf_release(&body);
}

static void nest_msgpack(struct buf *body, int levels)
{
	buf_add(body,
		"\x82\xa4task\xa1t\xa4"
		"args",
		13);
	for (int i = 1; i < levels; i++)
		buf_add(body, "\x91", 1);
	buf_add(body, "\x90", 1);
}

Test(job_bad, depth_is_bounded_in_msgpack)
{
	struct buf body = BUF_INIT;

	nest_msgpack(&body, 31);
	cr_expect(decode_nested("application/msgpack", &body) == 0);
	buf_reset(&body);
	nest_msgpack(&body, 32);
	cr_expect(decode_nested("application/msgpack", &body) == ERR_INPUT);
	buf_reset(&body);
	nest_msgpack(&body, 100000);
	cr_expect(decode_nested("application/msgpack", &body) == ERR_INPUT);
	buf_release(&body);
}

static void text_of(struct buf *body, const char *field, size_t len)
{
	buf_reset(body);
	buf_adds(body, "{\"task\":\"t\"");
	buf_addf(body, ",\"%s\":\"", field);
	for (size_t i = 0; i < len; i++)
		buf_adds(body, "a");
	buf_adds(body, "\"}");
}

Test(job_bad, lengths_are_inclusive)
{
	static const struct {
		const char *field;
		size_t longest;
	} cases[] = {{"id", 200}, {"run", 200}, {"pool", 63}, {"dedup", 256}};
	struct buf body = BUF_INIT;
	struct err err;
	struct job job;

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct bad row = {0};
		text_of(&body, cases[i].field, cases[i].longest);
		row.body = body.data;
		cr_expect(decode(&row, &job, &err) == 0, "%s: %s", cases[i].field, err.text);
		job_release(&job);
		text_of(&body, cases[i].field, cases[i].longest + 1);
		row.body = body.data;
		cr_expect(decode(&row, &job, &err) == ERR_INPUT, "%s", cases[i].field);
	}
	buf_release(&body);
}

Test(job_bad, the_body_limit_is_inclusive)
{
	static const char start[] = "{\"task\":\"t\"}";
	struct buf body = BUF_INIT;
	struct bad row = {0};
	struct err err;
	struct job job;

	buf_adds(&body, start);
	while (body.len < job_limits_default.max_body)
		buf_adds(&body, " ");
	row.body = body.data;
	cr_expect(decode(&row, &job, &err) == 0, "%s", err.text);
	job_release(&job);
	buf_adds(&body, " ");
	row.body = body.data;
	cr_expect(decode(&row, &job, &err) == ERR_INPUT);
	cr_expect(strstr(err.text, "1048577 bytes, and 1048576 are allowed"), "%s", err.text);
	buf_release(&body);
}

/* Many keys must not make the check for duplicates slow: seconds would be noticed by the runner's time limit. */
Test(job_bad, many_keys_are_quick, .timeout = 20)
{
	struct buf body = BUF_INIT;
	struct bad row = {0};
	struct err err;
	struct job job;

	buf_add(&body,
		"\x82\xa4task\xa1t\xa4"
		"args\xdf\x00\x02\x00\x00",
		18);
	for (unsigned i = 0; i < 0x20000; i++) {
		buf_adds(&body, "\xa5");
		buf_addf(&body, "%05x", i);
		buf_add(&body, "\xc0", 1);
	}
	row.body = body.data;
	row.len = body.len;
	cr_expect(decode(&row, &job, &err) == 0, "%s", err.text);
	job_release(&job);
	memcpy(body.data + body.len - 6, "00000", 5);
	cr_expect(decode(&row, &job, &err) == ERR_INPUT);
	cr_expect(strstr(err.text, "the key `00000` stands twice"), "%s", err.text);
	buf_release(&body);
}
