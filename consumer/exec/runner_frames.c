#include "exec/runner_frames.h"

#include <string.h>

#include "base/cleanup.h"
#include "exec/frames.h"
#include "job/json.h"

static void add_text(msgpack_packer *packer, const char *text)
{
	if (text)
		msgpack_pack_str_with_body(packer, text, strlen(text));
	else
		msgpack_pack_nil(packer);
}

static void add_key_text(msgpack_packer *packer, const char *key, const char *text)
{
	add_text(packer, key);
	add_text(packer, text);
}

static void add_key_int(msgpack_packer *packer, const char *key, int64_t value)
{
	add_text(packer, key);
	if (value >= 0)
		msgpack_pack_int64(packer, value);
	else
		msgpack_pack_nil(packer);
}

static void finish(struct buf *out, msgpack_sbuffer *buffer)
{
	frame_write(out, buffer->data, buffer->size);
	msgpack_sbuffer_destroy(buffer);
}

static void begin(msgpack_sbuffer *buffer, msgpack_packer *packer, size_t pairs, const char *type)
{
	msgpack_sbuffer_init(buffer);
	msgpack_packer_init(packer, buffer, msgpack_sbuffer_write);
	msgpack_pack_map(packer, pairs);
	add_key_text(packer, "type", type);
}

void runner_write_hello(struct buf *out, const struct handler *handler)
{
	msgpack_sbuffer buffer;
	msgpack_packer packer;

	begin(&buffer, &packer, 3, "hello");
	add_key_int(&packer, "version", RUNNER_PROTOCOL);
	add_key_text(&packer, "handler", handler->name);
	finish(out, &buffer);
}

/* A frame has at most JOB_MAX_DEPTH levels, and msgpack-c reads no more; the first is the message's. */
static int add_json(msgpack_sbuffer *buffer, msgpack_packer *packer, const char *key, const char *json, struct err *err)
{
	CLEANUP(buf_release) struct buf packed = BUF_INIT;
	int r = json_to_msgpack(json, strlen(json), JOB_MAX_DEPTH - 1, &packed, err);

	if (r < 0)
		return r;
	add_text(packer, key);
	msgpack_sbuffer_write(buffer, packed.data, packed.len);
	return 0;
}

int runner_write_job(struct buf *out, const struct attempt *attempt, int64_t seq, struct err *err)
{
	const struct job *job = attempt->job;
	msgpack_sbuffer buffer;
	msgpack_packer packer;
	int r;

	begin(&buffer, &packer, 12, "job");
	add_key_int(&packer, "seq", seq);
	add_key_text(&packer, "id", job->id);
	add_key_text(&packer, "task", job->task);
	add_key_int(&packer, "attempt", attempt->number);
	add_key_text(&packer, "run", job->run);
	add_key_text(&packer, "pool", job->pool);
	add_key_text(&packer, "priority", job->priority);
	add_key_int(&packer, "timeout_ms", attempt_timeout_ms(attempt));
	add_text(&packer, "args");
	if (job->has_args)
		msgpack_pack_object(&packer, job->args);
	else
		msgpack_pack_nil(&packer);
	r = add_json(&buffer, &packer, "results", attempt->results, err);
	if (r == 0)
		r = add_json(&buffer, &packer, "results_missing", attempt->results_missing, err);
	if (r < 0) {
		msgpack_sbuffer_destroy(&buffer);
		return r;
	}
	finish(out, &buffer);
	return 0;
}

void runner_write_cancel(struct buf *out, int64_t seq)
{
	msgpack_sbuffer buffer;
	msgpack_packer packer;

	begin(&buffer, &packer, 2, "cancel");
	add_key_int(&packer, "seq", seq);
	finish(out, &buffer);
}
