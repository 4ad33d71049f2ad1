#include "job/reply.h"

#include <inttypes.h>
#include <string.h>

#include "base/utf8.h"
#include "job/json.h"

/* A reply's map while it is written, in either encoding. */
struct writer {
	enum job_encoding encoding;
	struct buf *ret;
	msgpack_packer packer;
	bool first;
};

static int add_bytes(void *buf, const char *bytes, size_t len)
{
	buf_add(buf, bytes, len);
	return 0;
}

static void begin(struct writer *writer, size_t members)
{
	msgpack_packer_init(&writer->packer, writer->ret, add_bytes);
	if (writer->encoding == JOB_JSON)
		buf_add(writer->ret, "{", 1);
	else
		msgpack_pack_map(&writer->packer, members);
}

static void end(struct writer *writer)
{
	if (writer->encoding == JOB_JSON)
		buf_add(writer->ret, "}", 1);
}

/* Text that a handler wrote may be anything, and readers of MessagePack stumble over what is not UTF-8. */
static void clean(struct buf *ret, const char *text, size_t len)
{
	while (len > 0) {
		size_t size = utf8_char(text, len);
		buf_adds(ret, size ? "" : "\xef\xbf\xbd");
		buf_add(ret, text, size);
		text += size ? size : 1;
		len -= size ? size : 1;
	}
}

static void pack_text(struct writer *writer, const char *text)
{
	struct buf cleaned = BUF_INIT;
	size_t len = strlen(text);

	if (!utf8_valid(text, len)) {
		clean(&cleaned, text, len);
		text = cleaned.data;
		len = cleaned.len;
	}
	msgpack_pack_str(&writer->packer, len);
	msgpack_pack_str_body(&writer->packer, text, len);
	buf_release(&cleaned);
}

static void add_name(struct writer *writer, const char *name)
{
	if (writer->encoding == JOB_MSGPACK) {
		pack_text(writer, name);
		return;
	}
	buf_addf(writer->ret, "%s\"%s\":", writer->first ? "" : ",", name);
	writer->first = false;
}

static void add_null(struct writer *writer)
{
	if (writer->encoding == JOB_JSON)
		buf_adds(writer->ret, "null");
	else
		msgpack_pack_nil(&writer->packer);
}

static void add_text(struct writer *writer, const char *name, const char *text)
{
	add_name(writer, name);
	if (!text)
		add_null(writer);
	else if (writer->encoding == JOB_JSON)
		json_add_string(writer->ret, text, strlen(text));
	else
		pack_text(writer, text);
}

static void add_int(struct writer *writer, const char *name, int64_t n)
{
	add_name(writer, name);
	if (writer->encoding == JOB_JSON)
		buf_addf(writer->ret, "%" PRId64, n);
	else
		msgpack_pack_int64(&writer->packer, n);
}

static void add_time(struct writer *writer, const char *name, int64_t ms)
{
	if (ms) {
		add_int(writer, name, ms);
		return;
	}
	add_name(writer, name);
	add_null(writer);
}

static void add_result(struct writer *writer, const char *json)
{
	struct buf packed = BUF_INIT;
	struct err err;

	add_name(writer, "result");
	if (!json || json_to_msgpack(json, strlen(json), JOB_MAX_DEPTH, &packed, &err))
		add_null(writer);
	else if (writer->encoding == JOB_JSON)
		buf_adds(writer->ret, json);
	else
		buf_add(writer->ret, packed.data, packed.len);
	buf_release(&packed);
}

void job_reply_encode(const struct job_reply *reply, enum job_encoding encoding, struct buf *ret)
{
	struct writer writer = {.encoding = encoding, .ret = ret, .first = true};

	begin(&writer, 8);
	add_text(&writer, "id", reply->id);
	add_text(&writer, "state", reply->state);
	add_result(&writer, reply->result);
	add_text(&writer, "error", reply->error);
	add_text(&writer, "reason", reply->reason);
	add_int(&writer, "attempt", reply->attempt);
	add_time(&writer, "started_at", reply->started_at);
	add_time(&writer, "ended_at", reply->ended_at);
	end(&writer);
}

void job_reply_rejected(const char *id, enum job_reason reason, const char *error, enum job_encoding encoding,
			struct buf *ret)
{
	struct writer writer = {.encoding = encoding, .ret = ret, .first = true};

	begin(&writer, 4);
	add_text(&writer, "id", id);
	add_text(&writer, "state", "rejected");
	add_text(&writer, "reason", job_reason_name(reason));
	add_text(&writer, "error", error);
	end(&writer);
}
