/* From a message to a job (job/job.h).
 *
 * In order: what the message says of its encoding and size; JSON to MessagePack; msgpack_check over the whole; where
 * each field is (locate); one allocation for all that the job will point to; each field by its row (fields.c); what
 * holds between fields (settle). Until the last step everything refers to the message's own bytes. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/utf8.h"
#include "job/decode.h"
#include "job/json.h"
#include "job/quote.h"

static const char *const default_priorities[] = {"high", "normal", "low"};

const struct job_limits job_limits_default = {
	.priorities = default_priorities,
	.priority_count = 3,
	.max_body = 1 << 20,
	.prefix = "flotilla",
};

static bool given(const char *text) { return text && *text; }

/* Whether a content type is `name`, whatever its case and parameters. */
static bool type_is(const char *type, const char *name)
{
	size_t len = strcspn(type, ";");
	while (len > 0 && (type[len - 1] == ' ' || type[len - 1] == '\t'))
		len--;
	return len == strlen(name) && strncasecmp(type, name, len) == 0;
}

static enum job_encoding guess_encoding(const char *body, size_t len)
{
	size_t at = 0;
	while (at < len && (body[at] == ' ' || body[at] == '\t' || body[at] == '\n' || body[at] == '\r'))
		at++;
	return at < len && body[at] == '{' ? JOB_JSON : JOB_MSGPACK;
}

static int find_encoding(const struct job_message *message, enum job_encoding *ret, struct err *err)
{
	char text[QUOTE_TEXT];

	if (given(message->content_encoding))
		return err_set(err, ERR_INPUT, "content encoding `%s`: none is taken; send the body as it is",
			       quote_text(text, message->content_encoding, strlen(message->content_encoding)));
	if (!given(message->content_type))
		*ret = guess_encoding(message->body, message->body_len);
	else if (type_is(message->content_type, "application/msgpack"))
		*ret = JOB_MSGPACK;
	else if (type_is(message->content_type, "application/json"))
		*ret = JOB_JSON;
	else
		return err_set(err, ERR_INPUT, "content type `%s`: must be application/msgpack or application/json",
			       quote_text(text, message->content_type, strlen(message->content_type)));
	return 0;
}

static const struct job_field *find_field(const char *name, size_t len)
{
	for (size_t i = 0; i < JOB_FIELD_COUNT; i++)
		if (strlen(job_fields[i].name) == len && memcmp(job_fields[i].name, name, len) == 0)
			return &job_fields[i];
	return NULL;
}

/* One field of the job's map, key and value, at the cursor. */
static int locate_field(struct decode *decode, struct mp_cursor *cursor)
{
	const struct job_field *field;
	struct found found = {0};
	struct mp_cursor value;
	struct mp_value key;
	char text[QUOTE_TEXT];

	mp_next(cursor, &key);
	field = find_field(key.text, key.len);
	if (!field && !(key.len >= 2 && memcmp(key.text, "x-", 2) == 0))
		return err_set(decode->err, ERR_INPUT,
			       "field `%s`: unknown in version 1; a name of your own begins with x-",
			       quote_text(text, key.text, key.len));
	found.start = cursor->at;
	mp_skip(cursor);
	found.end = cursor->at;
	if (!field)
		return job_find_user(decode, &key, &found);
	value = (struct mp_cursor){found.start, found.start, found.end};
	mp_next(&value, &found.value);
	found.inside = value.at;
	if (found.value.type != MP_NIL)
		*job_found(decode, field) = found;
	return 0;
}

static int locate(struct decode *decode)
{
	struct mp_cursor cursor = {decode->body, decode->body, decode->body + decode->body_len};
	struct mp_value map;

	mp_next(&cursor, &map);
	if (map.type != MP_MAP)
		return err_set(decode->err, ERR_INPUT, "a job must be a map, not %s", mp_describe(map.type));
	for (size_t i = 0; i < map.count; i++)
		if (locate_field(decode, &cursor))
			return ERR_INPUT;
	return 0;
}

static size_t text_room(const char *text) { return text ? strlen(text) + 1 : 0; }

static void make_arena(struct decode *decode)
{
	const struct job_message *message = decode->message;
	size_t arrays = 0, text = message->correlation_len + 1;
	struct job_arena *arena;

	for (size_t i = 1; i < JOB_FIELD_COUNT; i++)
		if (decode->found[i].start) {
			arrays += job_field_room(decode, &job_fields[i]);
			text += (size_t)(decode->found[i].end - decode->found[i].start);
		}
	text += job_user_room(decode);
	text += text_room(message->message_id) + text_room(message->reply_to) + text_room(message->pool) +
		text_room(message->priority);
	arena = xmalloc(sizeof *arena + arrays + text + decode->body_len);
	arena->has_zone = false;
	decode->job.arena = arena;
	decode->arrays = (char *)(arena + 1);
	decode->text = decode->arrays + arrays;
	decode->job.spec = decode->text + text;
	decode->job.spec_len = decode->body_len;
	memcpy(decode->text + text, decode->body, decode->body_len);
}

const char *job_keep_text(struct decode *decode, const char *text, size_t len)
{
	char *copy = decode->text;
	memcpy(copy, text, len);
	copy[len] = '\0';
	decode->text += len + 1;
	return copy;
}

void *job_keep_array(struct decode *decode, size_t size)
{
	void *array = decode->arrays;
	decode->arrays += size;
	return array;
}

static int take_fields(struct decode *decode)
{
	struct job *job = &decode->job;

	job->retries = job->backoff_ms = job->backoff_max_ms = job->timeout_ms = job->delay_ms = -1;
	job->run_at = job->expires_at = job->keep_s = -1;
	for (size_t i = 0; i < JOB_FIELD_COUNT; i++)
		if (decode->found[i].start && job_fields[i].take(decode, &job_fields[i]))
			return ERR_INPUT;
	return 0;
}

/* What the message's properties say, where the body does not; of a stored job its record has the last word. */
static int take_message(struct decode *decode)
{
	const struct job_message *message = decode->message;
	struct job *job = &decode->job;
	char text[QUOTE_TEXT];

	if ((!job->id || decode->stored) && given(message->message_id)) {
		size_t len = strlen(message->message_id);
		if (!job_id_valid(message->message_id, len))
			return err_set(decode->err, ERR_INPUT,
				       "message_id \"%s\" stands for the id and cannot be one: 1 to 200 characters of "
				       "A-Za-z0-9._/@+=,-; name an `id` in the body",
				       quote_text(text, message->message_id, len));
		job->id = job_keep_text(decode, message->message_id, len);
	}
	if ((!job->pool || decode->stored) && message->pool)
		job->pool = job_keep_text(decode, message->pool, strlen(message->pool));
	if ((!job->priority || decode->stored) && message->priority)
		job->priority = job_keep_text(decode, message->priority, strlen(message->priority));
	if (decode->user)
		job->user = job_keep_text(decode, decode->user, decode->user_len);
	if (message->correlation_id) {
		job->correlation_id = job_keep_text(decode, message->correlation_id, message->correlation_len);
		job->correlation_len = message->correlation_len;
	}
	return 0;
}

/* A reply that came in by a queue of the fleet would be taken for a job. */
static int take_reply_to(struct decode *decode)
{
	const char *reply_to = decode->message->reply_to;
	const char *prefix = decode->limits->prefix;
	char text[QUOTE_TEXT];
	size_t len;

	if (!given(reply_to))
		return 0;
	len = strlen(prefix);
	if (strlen(reply_to) > 255)
		return err_set(decode->err, ERR_INPUT, "reply_to: longer than 255 bytes");
	if (!utf8_valid(reply_to, strlen(reply_to)))
		return err_set(decode->err, ERR_INPUT, "reply_to: not UTF-8");
	if (strncmp(reply_to, prefix, len) == 0 && (reply_to[len] == '\0' || reply_to[len] == '.'))
		return err_set(decode->err, ERR_INPUT,
			       "reply_to: `%s` is a queue of the fleet's own; name one of your own",
			       quote_text(text, reply_to, strlen(reply_to)));
	decode->job.reply_to = job_keep_text(decode, reply_to, strlen(reply_to));
	return 0;
}

static int settle(struct decode *decode)
{
	struct job *job = &decode->job;

	if (!job->task)
		return err_set(decode->err, ERR_INPUT, "field `task`: missing; it names the handler");
	if (job->delay_ms >= 0 && job->run_at >= 0)
		return err_set(decode->err, ERR_INPUT,
			       "field `delay_ms`: cannot stand beside `run_at`; give one of them");
	if (job->reuse && !job->dedup)
		return err_set(decode->err, ERR_INPUT, "field `reuse`: needs `dedup`, the key of the work");
	job_scope_dedup(decode);
	return job_settle_after(decode);
}

static msgpack_zone *make_zone(struct job_arena *arena, size_t len)
{
	size_t chunk = len < 64 ? 256 : len > 16384 ? 65536 : len * 4;

	arena->has_zone = msgpack_zone_init(&arena->zone, chunk);
	return arena->has_zone ? &arena->zone : NULL;
}

/* `args` from the spec, so that its text points there. Given no zone, msgpack-c makes one for text and containers that
 * nobody could free; for what else there is it needs none. */
static int take_args(struct decode *decode)
{
	struct job *job = &decode->job;
	const struct found *found = &decode->found[0];
	size_t len = (size_t)(found->end - found->start);
	msgpack_zone *zone = NULL;

	job->args.type = MSGPACK_OBJECT_NIL;
	if (!found->start)
		return 0;
	if (found->value.type == MP_ARRAY || found->value.type == MP_MAP || found->value.type == MP_TEXT) {
		zone = make_zone(job->arena, len);
		if (!zone)
			return err_set(decode->err, ERR_NOMEM, "out of memory");
	}
	if (msgpack_unpack(job->spec + (found->start - decode->body), len, NULL, zone, &job->args) !=
	    MSGPACK_UNPACK_SUCCESS)
		return err_set(decode->err, ERR_INPUT, "field `args`: cannot be unpacked");
	return 0;
}

/* The steps once the body is sound MessagePack. */
static int decode_body(struct decode *decode)
{
	int error = locate(decode);
	if (error)
		return error;
	make_arena(decode);
	error = take_fields(decode);
	if (!error)
		error = take_message(decode);
	if (!error)
		error = take_reply_to(decode);
	if (!error)
		error = settle(decode);
	if (!error)
		error = take_args(decode);
	if (error)
		job_release(&decode->job);
	return error;
}

static int decode_owned(struct decode *decode)
{
	struct buf owned = BUF_INIT;
	int error;

	error = job_add_user(decode, &owned);
	if (!error)
		error = decode_body(decode);
	buf_release(&owned);
	return error;
}

static int decode_msgpack(struct decode *decode)
{
	int error;
	decode->body = decode->message->body;
	decode->body_len = decode->message->body_len;
	error = msgpack_check(decode->body, decode->body_len, decode->err);
	return error ? error : decode_owned(decode);
}

static int decode_json(struct decode *decode)
{
	struct buf body = BUF_INIT;
	int error =
		json_to_msgpack(decode->message->body, decode->message->body_len, JOB_MAX_DEPTH, &body, decode->err);
	decode->body = body.data;
	decode->body_len = body.len;
	if (!error)
		error = decode_owned(decode);
	buf_release(&body);
	return error;
}

int job_check_size(size_t body_len, const struct job_limits *limits, struct err *err)
{
	if (body_len <= limits->max_body)
		return 0;
	return err_set(err, ERR_INPUT, "the body has %zu bytes, and %zu are allowed: pass large data by reference",
		       body_len, limits->max_body);
}

int job_decode(struct job *ret, const struct job_message *message, const struct job_limits *limits, struct err *err)
{
	struct decode decode = {.message = message, .limits = limits, .err = err};
	int error = find_encoding(message, &decode.job.encoding, err);

	if (error)
		return error;
	error = job_check_size(message->body_len, limits, err);
	if (error)
		return error;
	error = decode.job.encoding == JOB_JSON ? decode_json(&decode) : decode_msgpack(&decode);
	if (!error)
		*ret = decode.job;
	return error;
}

int job_decode_spec(struct job *ret, const char *spec, size_t len, const char *id, const char *pool,
		    const char *priority, const struct job_limits *limits, struct err *err)
{
	struct job_message message = {
		.body = spec, .body_len = len, .message_id = id, .pool = pool, .priority = priority};
	struct decode decode = {.message = &message, .stored = true, .limits = limits, .err = err};
	int error = decode_msgpack(&decode);

	if (!error)
		*ret = decode.job;
	return error;
}

void job_release(struct job *job)
{
	struct job_arena *arena = job->arena;

	if (arena && arena->has_zone)
		msgpack_zone_destroy(&arena->zone);
	free(arena);
	*job = (struct job){0};
}
