#include <criterion/criterion.h>
#include <string.h>

#include "job/json.h"
#include "job/reply.h"

static void unpack_to_json(const struct buf *packed, struct buf *ret)
{
	msgpack_unpacked unpacked;
	struct err err;

	cr_assert(msgpack_check(packed->data, packed->len, &err) == 0, "%s", err.text);
	msgpack_unpacked_init(&unpacked);
	cr_assert(msgpack_unpack_next(&unpacked, packed->data, packed->len, NULL) == MSGPACK_UNPACK_SUCCESS);
	cr_assert(msgpack_to_json(&unpacked.data, ret, &err) == 0, "%s", err.text);
	msgpack_unpacked_destroy(&unpacked);
}

static void expect_reply(const struct job_reply *reply, const char *expected)
{
	struct buf json = BUF_INIT, packed = BUF_INIT, text = BUF_INIT;

	job_reply_encode(reply, JOB_JSON, &json);
	cr_expect_str_eq(json.data, expected);
	job_reply_encode(reply, JOB_MSGPACK, &packed);
	unpack_to_json(&packed, &text);
	cr_expect_str_eq(text.data, expected);
	buf_release(&json);
	buf_release(&packed);
	buf_release(&text);
}

Test(reply, how_a_job_ended)
{
	struct job_reply good = {.id = "a",
				 .state = "succeeded",
				 .result = "{\"n\":[1,2.5,18446744073709551615]}",
				 .attempt = 2,
				 .started_at = 1700000000000,
				 .ended_at = 1700000000005};
	struct job_reply bad = {.id = "b", .state = "failed", .error = "say \"no\"\n\xff", .reason = "exit"};

	expect_reply(&good, "{\"id\":\"a\",\"state\":\"succeeded\",\"result\":{\"n\":[1,2.5,18446744073709551615]},"
			    "\"error\":null,\"reason\":null,\"attempt\":2,\"started_at\":1700000000000,"
			    "\"ended_at\":1700000000005}");
	expect_reply(&bad,
		     "{\"id\":\"b\",\"state\":\"failed\",\"result\":null,\"error\":\"say \\\"no\\\"\\n\xef\xbf\xbd\","
		     "\"reason\":\"exit\",\"attempt\":0,\"started_at\":null,\"ended_at\":null}");
	bad.result = "not json";
	bad.error = NULL;
	expect_reply(&bad, "{\"id\":\"b\",\"state\":\"failed\",\"result\":null,\"error\":null,"
			   "\"reason\":\"exit\",\"attempt\":0,\"started_at\":null,\"ended_at\":null}");
}

Test(reply, why_a_message_is_no_job)
{
	static const char expected[] =
		"{\"id\":null,\"state\":\"rejected\",\"reason\":\"rejected\",\"error\":\"field `task`: missing\"}";
	struct buf json = BUF_INIT, packed = BUF_INIT, text = BUF_INIT;

	job_reply_rejected(NULL, JOB_REASON_REJECTED, "field `task`: missing", JOB_JSON, &json);
	cr_expect_str_eq(json.data, expected);
	job_reply_rejected(NULL, JOB_REASON_NOT_ALLOWED, "field `task`: missing", JOB_MSGPACK, &packed);
	unpack_to_json(&packed, &text);
	cr_expect_str_eq(
		text.data,
		"{\"id\":null,\"state\":\"rejected\",\"reason\":\"not allowed\",\"error\":\"field `task`: missing\"}");
	buf_release(&json);
	buf_release(&packed);
	buf_release(&text);
}
