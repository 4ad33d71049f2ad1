/* What is taken, and how it arrives in struct job. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "job/job.h"
#include "job/json.h"

#define FULL                                                                                                           \
	"{\"v\":1,\"task\":\"resize\",\"id\":\"a/b.c=1,x-2@+_\",\"args\":{\"w\":640,\"big\":18446744073709551615,"     \
	"\"r\":0.1,\"l\":[null,true,\"\\u0000\xc3\xa9\"]},\"argv\":[\"ls\",\"\"],\"env\":{\"A\":\"1\",\"B\":\"\"},"    \
	"\"after\":[\"p\",{\"id\":\"q\",\"when\":\"failed\"},\"p\",{\"id\":\"r\",\"when\":null}],\"pool\":\"gpu_1\","  \
	"\"priority\":\"high\",\"dedup\":\"k k\",\"reuse\":true,\"retries\":3.0,\"backoff_ms\":10,"                    \
	"\"backoff_max_ms\":20,\"timeout_ms\":30,\"delay_ms\":40,\"run_at\":null,\"expires_at\":50,\"keep_s\":60,"     \
	"\"run\":\"n-1\",\"labels\":{\"who\":\"me\"},\"x-mine\":[1,{\"y\":2}]}"

static int decode(const char *body, size_t len, struct job *ret, struct err *err)
{
	struct job_message message = {.body = body, .body_len = len, .pool = "default", .priority = "normal"};
	return job_decode(ret, &message, &job_limits_default, err);
}

static void must_decode(const char *body, struct job *ret)
{
	struct err err;
	cr_assert(decode(body, strlen(body), ret, &err) == 0, "%s", err.text);
}

static void expect_args(const struct job *job, const char *json)
{
	struct buf text = BUF_INIT;
	struct err err;
	cr_assert(msgpack_to_json(&job->args, &text, &err) == 0, "%s", err.text);
	cr_expect_str_eq(text.data, json);
	buf_release(&text);
}

static void expect_full(const struct job *job)
{
	cr_expect_str_eq(job->id, "a/b.c=1,x-2@+_");
	cr_expect_str_eq(job->task, "resize");
	cr_expect_str_eq(job->pool, "gpu_1");
	cr_expect_str_eq(job->priority, "high");
	cr_expect_str_eq(job->dedup, "k k");
	cr_expect_str_eq(job->run, "n-1");
	cr_expect(job->reuse);
	cr_assert(job->after_count == 3);
	cr_expect_str_eq(job->after[0].id, "p");
	cr_expect(job->after[0].when == JOB_WHEN_SUCCEEDED);
	cr_expect_str_eq(job->after[1].id, "q");
	cr_expect(job->after[1].when == JOB_WHEN_FAILED);
	cr_expect_str_eq(job->after[2].id, "r");
	cr_expect(job->after[2].when == JOB_WHEN_SUCCEEDED);
	cr_assert(job->argc == 2);
	cr_expect_str_eq(job->argv[0], "ls");
	cr_expect_str_eq(job->argv[1], "");
	cr_expect_null(job->argv[2]);
	cr_assert(job->env_count == 2);
	cr_expect_str_eq(job->env[1].key, "B");
	cr_expect_str_eq(job->env[1].value, "");
	cr_assert(job->label_count == 1);
	cr_expect_str_eq(job->labels[0].value, "me");
	cr_expect(job->retries == 3 && job->backoff_ms == 10 && job->backoff_max_ms == 20 && job->timeout_ms == 30);
	cr_expect(job->delay_ms == 40 && job->run_at == -1 && job->expires_at == 50 && job->keep_s == 60);
	cr_expect(job->has_args);
	expect_args(job, "{\"w\":640,\"big\":18446744073709551615,\"r\":0.1,\"l\":[null,true,\"\\u0000\xc3\xa9\"]}");
}

Test(job_decode, every_field_from_json)
{
	struct job job;
	must_decode(FULL, &job);
	cr_expect(job.encoding == JOB_JSON);
	expect_full(&job);
	job_release(&job);
	cr_expect_null(job.arena);
	cr_expect_null(job.task);
	job_release(&job);
}

Test(job_decode, the_spec_says_the_same_again)
{
	struct job job, again;
	struct err err;

	must_decode(FULL, &job);
	cr_assert(decode(job.spec, job.spec_len, &again, &err) == 0, "%s", err.text);
	cr_expect(again.encoding == JOB_MSGPACK);
	cr_expect(again.spec_len == job.spec_len && memcmp(again.spec, job.spec, job.spec_len) == 0);
	job_release(&job);
	expect_full(&again);
	job_release(&again);
}

Test(job_decode, nothing_but_a_task)
{
	static const char body[] = "\x81\xa4task\xa4noop";
	struct err err;
	struct job job;

	cr_assert(decode(body, sizeof body - 1, &job, &err) == 0, "%s", err.text);
	cr_expect_str_eq(job.task, "noop");
	cr_expect_null(job.id);
	cr_expect_str_eq(job.pool, "default");
	cr_expect_str_eq(job.priority, "normal");
	cr_expect(!job.has_args && job.args.type == MSGPACK_OBJECT_NIL);
	cr_expect(job.argv == NULL && job.after_count == 0 && job.env_count == 0 && job.label_count == 0);
	cr_expect(job.retries == -1 && job.keep_s == -1 && job.delay_ms == -1 && job.expires_at == -1);
	cr_expect(job.spec_len == sizeof body - 1 && memcmp(job.spec, body, job.spec_len) == 0);
	job_release(&job);
}

Test(job_decode, the_message_is_copied)
{
	char body[] = "\x82\xa4task\xa1t\xa4"
		      "args\x91\xa3"
		      "abc";
	char id[] = "m1", pool[] = "p1", priority[] = "low", reply_to[] = "answers", correlation[] = "c\0d";
	struct job_message message = {.body = body,
				      .body_len = sizeof body - 1,
				      .message_id = id,
				      .pool = pool,
				      .priority = priority,
				      .reply_to = reply_to,
				      .correlation_id = correlation,
				      .correlation_len = 3};
	struct err err;
	struct job job;

	cr_assert(job_decode(&job, &message, &job_limits_default, &err) == 0, "%s", err.text);
	memset(body, 'z', sizeof body - 1);
	id[0] = pool[0] = priority[0] = reply_to[0] = correlation[0] = 'z';
	cr_expect_str_eq(job.id, "m1");
	cr_expect_str_eq(job.pool, "p1");
	cr_expect_str_eq(job.priority, "low");
	cr_expect_str_eq(job.reply_to, "answers");
	cr_expect(job.correlation_len == 3 && memcmp(job.correlation_id, "c\0d", 3) == 0);
	expect_args(&job, "[\"abc\"]");
	job_release(&job);
}

Test(job_decode, the_id_in_the_body_wins)
{
	struct job_message message = {.body = "{\"task\":\"t\",\"id\":\"mine\"}", .message_id = "not : an id"};
	struct err err;
	struct job job;

	message.body_len = strlen(message.body);
	cr_assert(job_decode(&job, &message, &job_limits_default, &err) == 0, "%s", err.text);
	cr_expect_str_eq(job.id, "mine");
	job_release(&job);
}

static int decode_typed(const char *body, const char *type, enum job_encoding *ret)
{
	struct job_message message = {.body = body, .body_len = strlen(body), .content_type = type};
	struct err err;
	struct job job;
	int error = job_decode(&job, &message, &job_limits_default, &err);
	if (error)
		return error;
	*ret = job.encoding;
	job_release(&job);
	return 0;
}

Test(job_decode, content_types)
{
	enum job_encoding encoding = JOB_MSGPACK;

	cr_expect(decode_typed("{\"task\":\"t\"}", "Application/JSON; charset=utf-8", &encoding) == 0);
	cr_expect(encoding == JOB_JSON);
	cr_expect(decode_typed(" \r\n\t{\"task\":\"t\"}", NULL, &encoding) == 0);
	cr_expect(encoding == JOB_JSON);
	cr_expect(decode_typed("\x81\xa4task\xa1t", "application/msgpack ; v=1", &encoding) == 0);
	cr_expect(encoding == JOB_MSGPACK);
	cr_expect(decode_typed("\x81\xa4task\xa1t", "", &encoding) == 0);
	cr_expect(decode_typed("\x81\xa4task\xa1t", "application/json", &encoding) == ERR_INPUT);
	cr_expect(decode_typed("{\"task\":\"t\"}", "application/msgpack", &encoding) == ERR_INPUT);
	cr_expect(decode_typed("{\"task\":\"t\"}", "application/jsonx", &encoding) == ERR_INPUT);
}

Test(job_decode, whole_numbers)
{
	struct job job;
	must_decode("{\"task\":\"t\",\"run_at\":9007199254740992,\"retries\":1e2,\"keep_s\":0}", &job);
	cr_expect(job.run_at == INT64_C(9007199254740992));
	cr_expect(job.retries == 100);
	cr_expect(job.keep_s == 0);
	job_release(&job);
}

Test(job_decode, the_fleets_own_queues_and_others)
{
	static const char *const good[] = {"flotilla-replies", "flotillax", "my.flotilla", "amq.rabbitmq.reply-to"};
	struct job_message message = {.body = "{\"task\":\"t\"}", .body_len = 12};
	struct err err;
	struct job job;

	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		message.reply_to = good[i];
		cr_assert(job_decode(&job, &message, &job_limits_default, &err) == 0, "%s", err.text);
		job_release(&job);
	}
	message.reply_to = "";
	cr_assert(job_decode(&job, &message, &job_limits_default, &err) == 0, "%s", err.text);
	cr_expect_null(job.reply_to);
	job_release(&job);
}

/* Run under LeakSanitizer this shows that each kind of args is freed. */
Test(job_decode, args_of_every_type)
{
	static const char *const rows[] = {"true", "-1", "18446744073709551615", "0.5", "\"\"", "\"text\"",
					   "[]",   "{}", "[[1,{\"a\":\"b\"}]]"};
	struct buf body = BUF_INIT;

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct job job;
		buf_reset(&body);
		buf_addf(&body, "{\"task\":\"t\",\"args\":%s}", rows[i]);
		must_decode(body.data, &job);
		cr_expect(job.has_args);
		expect_args(&job, rows[i]);
		job_release(&job);
	}
	buf_release(&body);
}

Test(job_decode, many_predecessors_each_once)
{
	struct buf body = BUF_INIT;
	struct job job;

	buf_adds(&body, "{\"task\":\"t\",\"after\":[\"x0\"");
	for (int i = 0; i < 2000; i++)
		buf_addf(&body, ",\"x%d\"", i % 1000);
	buf_adds(&body, "]}");
	must_decode(body.data, &job);
	cr_assert(job.after_count == 1000);
	for (int i = 0; i < 1000; i++) {
		char id[16];
		snprintf(id, sizeof id, "x%d", i);
		cr_assert_str_eq(job.after[i].id, id);
	}
	job_release(&job);
	buf_release(&body);
}

Test(job_decode, a_stored_spec_takes_its_record)
{
	static const char body[] = "\x82\xa4task\xa1t\xa4pool\xa1p";
	struct err err;
	struct job job;

	cr_assert(job_decode_spec(&job, body, sizeof body - 1, "made", "q", "low", &job_limits_default, &err) == 0,
		  "%s", err.text);
	cr_expect_str_eq(job.id, "made");
	cr_expect_str_eq(job.pool, "q");
	cr_expect_str_eq(job.priority, "low");
	job_release(&job);
	cr_expect(job_decode_spec(&job, body, 4, "made", "q", "low", &job_limits_default, &err) == ERR_INPUT);
}

Test(job_decode, made_ids_are_valid_and_sort_by_age)
{
	struct job job = {0};
	char first[32];

	job_make_id(&job);
	cr_expect(strlen(job.id) == 26 && job_id_valid(job.id, 26));
	snprintf(first, sizeof first, "%s", job.id);
	job_make_id(&job);
	cr_expect_str_neq(job.id, first);
	cr_expect(memcmp(first, job.id, 10) <= 0);
	job_release(&job);
}

static void expect_guess(const char *body, size_t len, const char *message_id, const char *expected)
{
	struct job_message message = {.body = body, .body_len = len, .message_id = message_id};
	char *id = job_guess_id(&message);

	if (expected)
		cr_expect(id && strcmp(id, expected) == 0, "expected %s, got %s", expected, id ? id : "none");
	else
		cr_expect_null(id);
	free(id);
}

Test(job_decode, an_id_is_guessed_from_what_is_no_job)
{
	expect_guess("{\"id\":\"a\",\"bad\":1}", 18, "m", "a");
	expect_guess("{\"id\":\"a:b\"}", 12, "m", "m");
	expect_guess("{\"id\":\"a\"", 9, NULL, NULL);
	expect_guess("{\"id\":\"a\"", 9, "a:b", NULL);
	expect_guess(NULL, 0, "m", "m");
	expect_guess("\x83\xa1x\x81\x01\x02\xa2id\xa1z\xa1y\xc4\x01", 15, NULL, "z");
	expect_guess("\x83\xa1x\xc4\x05", 5, NULL, NULL);
	expect_guess("\xdf\xff\xff\xff\xff", 5, "m", "m");
}

/* --- who published it --- */

static int decode_of(const char *user, const char *body, struct job *ret, struct err *err)
{
	struct job_message message = {
		.body = body, .body_len = strlen(body), .pool = "default", .priority = "normal", .user = user};
	return job_decode(ret, &message, &job_limits_default, err);
}

static void expect_again(const struct job *job)
{
	struct job again;
	struct err err;

	cr_assert(job_decode_spec(&again, job->spec, job->spec_len, "i", "p", "high", &job_limits_default, &err) == 0);
	cr_expect(job->user ? again.user && strcmp(again.user, job->user) == 0 : !again.user);
	cr_expect(job->dedup ? strcmp(again.dedup, job->dedup) == 0 : !again.dedup);
	job_release(&again);
}

Test(job_decode, the_user_is_kept_in_the_spec_and_its_keys_are_its_own)
{
	static const struct {
		const char *user, *body, *dedup;
	} cases[] = {
		{NULL, "{\"task\":\"t\",\"dedup\":\"k\"}", "k"},
		{NULL, "{\"task\":\"t\",\"dedup\":\"@k\"}", "@k"},
		{NULL, "{\"task\":\"t\",\"dedup\":\"@@5:alice:k\"}", "@@0::@@5:alice:k"},
		{"alice", "{\"task\":\"t\",\"dedup\":\"k\"}", "@@5:alice:k"},
		{"a:b", "{\"task\":\"t\",\"dedup\":\"k\"}", "@@3:a:b:k"},
		{"alice", "{\"task\":\"t\"}", NULL},
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct job job;
		struct err err;
		cr_assert(decode_of(cases[i].user, cases[i].body, &job, &err) == 0, "%s", err.text);
		cr_expect(cases[i].user ? strcmp(job.user, cases[i].user) == 0 : !job.user);
		cr_expect(cases[i].dedup ? strcmp(job.dedup, cases[i].dedup) == 0 : !job.dedup);
		expect_again(&job);
		job_release(&job);
	}
}

Test(job_decode, a_map_of_fifteen_fields_has_room_for_the_user)
{
	char body[512] = "{\"task\":\"t\"";
	struct job job;
	struct err err;

	for (int i = 0; i < 14; i++)
		snprintf(body + strlen(body), sizeof body - strlen(body), ",\"x-%d\":%d", i, i);
	snprintf(body + strlen(body), sizeof body - strlen(body), "}");
	cr_assert(decode_of("alice", body, &job, &err) == 0, "%s", err.text);
	expect_again(&job);
	job_release(&job);
}

Test(job_decode, nobody_writes_the_user_into_the_body)
{
	static const char *const users[] = {NULL, "bob"};
	struct job job;
	struct err err;

	for (size_t i = 0; i < 2; i++) {
		cr_assert(decode_of(users[i], "{\"task\":\"t\",\"x-flotilla-user\":\"alice\"}", &job, &err) ==
			  ERR_INPUT);
		cr_expect(strstr(err.text, "x-flotilla-user") != NULL);
	}
	cr_assert(decode_of("\xff", "{\"task\":\"t\"}", &job, &err) == ERR_INPUT);
	cr_expect(strstr(err.text, "user_id") != NULL);
}
