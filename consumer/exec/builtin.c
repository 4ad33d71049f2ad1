/* noop, fail and sleep: what needs no process. */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/duration.h"
#include "exec/internal.h"
#include "job/json.h"

static const msgpack_object *member(const msgpack_object *map, const char *key)
{
	if (map->type != MSGPACK_OBJECT_MAP)
		return NULL;
	for (uint32_t i = 0; i < map->via.map.size; i++) {
		const msgpack_object_kv *kv = &map->via.map.ptr[i];
		if (kv->key.type == MSGPACK_OBJECT_STR && kv->key.via.str.size == strlen(key) &&
		    memcmp(kv->key.via.str.ptr, key, strlen(key)) == 0)
			return &kv->val;
	}
	return NULL;
}

/* Only `allowed` (may be NULL) stands in the arguments. */
static bool only_member(const msgpack_object *args, const char *allowed)
{
	return args->type == MSGPACK_OBJECT_MAP && args->via.map.size == 1 && member(args, allowed);
}

static bool start_noop(struct attempt *attempt)
{
	CLEANUP(buf_release) struct buf text = BUF_INIT;
	struct outcome outcome = {.succeeded = true, .exit_code = -1};
	struct err err;

	if (attempt->job->has_args && attempt->job->args.type != MSGPACK_OBJECT_NIL) {
		if (msgpack_to_json(&attempt->job->args, &text, &err) < 0) {
			attempt_fail(attempt, JOB_REASON_BAD_ARGUMENT, "args: %s", err.text);
			return false;
		}
		outcome.result = text.data;
	}
	attempt_end(attempt, &outcome);
	return false;
}

static bool start_fail(struct attempt *attempt)
{
	const msgpack_object *args = &attempt->job->args;
	const msgpack_object *message = member(args, "message");

	if (!attempt->job->has_args || args->type == MSGPACK_OBJECT_NIL)
		attempt_fail(attempt, JOB_REASON_ERROR, "failed, as asked");
	else if (!only_member(args, "message") || message->type != MSGPACK_OBJECT_STR)
		attempt_fail(attempt, JOB_REASON_BAD_ARGUMENT, "fail takes {\"message\": \"text\"}");
	else
		attempt_fail(attempt, JOB_REASON_ERROR, "%.*s", (int)message->via.str.size, message->via.str.ptr);
	return false;
}

/* A whole number of milliseconds, also as a real; -1 where it is none. */
static int64_t whole_ms(const msgpack_object *value)
{
	if (value->type == MSGPACK_OBJECT_POSITIVE_INTEGER && value->via.u64 <= (uint64_t)DURATION_MAX_MS)
		return (int64_t)value->via.u64;
	if ((value->type == MSGPACK_OBJECT_FLOAT64 || value->type == MSGPACK_OBJECT_FLOAT32) && value->via.f64 >= 0 &&
	    value->via.f64 <= (double)DURATION_MAX_MS && (double)(int64_t)value->via.f64 == value->via.f64)
		return (int64_t)value->via.f64;
	return -1;
}

static void on_slept(uv_timer_t *timer)
{
	struct outcome outcome = {.succeeded = true, .exit_code = -1};
	attempt_end(timer->data, &outcome);
}

static bool start_sleep(struct attempt *attempt)
{
	const msgpack_object *args = &attempt->job->args;
	int64_t timeout = attempt_timeout_ms(attempt);
	int64_t ms = attempt->job->has_args && only_member(args, "ms") ? whole_ms(member(args, "ms")) : -1;

	if (ms < 0) {
		attempt_fail(attempt, JOB_REASON_BAD_ARGUMENT, "sleep takes {\"ms\": n}, a whole number from 0 to %lld",
			     (long long)DURATION_MAX_MS);
		return false;
	}
	if (timeout >= 0 && timeout < ms)
		attempt_start_clock(attempt);
	else
		attempt_alarm(attempt, ms, on_slept);
	return true;
}

static void stop_sleep(struct attempt *attempt) { attempt_fail(attempt, JOB_REASON_ERROR, "stopped"); }

const struct kind kind_noop = {.name = "noop", .instant = true, .start = start_noop};
const struct kind kind_fail = {.name = "fail", .instant = true, .start = start_fail};
const struct kind kind_sleep = {.name = "sleep", .start = start_sleep, .term = stop_sleep, .kill = stop_sleep};
