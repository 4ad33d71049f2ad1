/* The fields of a job on the wire, one row each, and how each is taken (docs/protocol.md, "A job on the wire").
 *
 * To add a field: a row in `job_fields`, JOB_FIELD_COUNT, a member of struct job; a take_ function where none of those
 * here fits, and its room in job_field_room where it is a list or a map. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "job/decode.h"
#include "job/quote.h"

#define DAY_S (INT64_C(24) * 3600)
#define MOST_S (3660 * DAY_S) /* ten years */
#define MOST_MS (MOST_S * 1000)
#define MOST_TIME (INT64_C(1) << 53)

#define MEMBER(decode, field, type) ((type *)(void *)((char *)&(decode)->job + (field)->offset))

int job_field_error(struct decode *decode, const struct job_field *field, const char *format, ...)
{
	char text[400];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof text, format, ap);
	va_end(ap);
	return err_set(decode->err, ERR_INPUT, "field `%s`: %s", field->name, text);
}

/* A value in words, for errors. */
static const char *show(char *ret, const struct mp_value *value)
{
	char text[QUOTE_TEXT];

	switch (value->type) {
	case MP_INT: snprintf(ret, QUOTE_TEXT + 16, "%" PRId64, value->integer); break;
	case MP_UINT: snprintf(ret, QUOTE_TEXT + 16, "%" PRIu64, value->natural); break;
	case MP_REAL: snprintf(ret, QUOTE_TEXT + 16, "%.17g", value->real); break;
	case MP_TEXT:
		snprintf(ret, QUOTE_TEXT + 16, "the text \"%s\"", quote_text(text, value->text, value->len));
		break;
	default: snprintf(ret, QUOTE_TEXT + 16, "%s", mp_describe(value->type));
	}
	return ret;
}

static int take_int(struct decode *decode, const struct job_field *field)
{
	const struct mp_value *value = &job_found(decode, field)->value;
	char text[QUOTE_TEXT + 16];
	int64_t n;

	if (!mp_whole(value, &n) || n < field->min || n > field->max)
		return job_field_error(decode, field, "must be a whole number from %" PRId64 " to %" PRId64 ", not %s",
				       field->min, field->max, show(text, value));
	*MEMBER(decode, field, int64_t) = n;
	return 0;
}

static int take_version(struct decode *decode, const struct job_field *field)
{
	const struct mp_value *value = &job_found(decode, field)->value;
	char text[QUOTE_TEXT + 16];
	int64_t n;

	if (!mp_whole(value, &n) || n != 1)
		return job_field_error(decode, field, "must be 1, the only version there is, not %s",
				       show(text, value));
	return 0;
}

static int take_bool(struct decode *decode, const struct job_field *field)
{
	const struct mp_value *value = &job_found(decode, field)->value;
	char text[QUOTE_TEXT + 16];

	if (value->type != MP_BOOL)
		return job_field_error(decode, field, "must be true or false, not %s", show(text, value));
	*MEMBER(decode, field, bool) = value->boolean;
	return 0;
}

/* Checks and keeps text without NUL, between the field's lengths. */
static int take_text(struct decode *decode, const struct job_field *field)
{
	const struct mp_value *value = &job_found(decode, field)->value;
	char text[QUOTE_TEXT + 16];

	if (value->type != MP_TEXT)
		return job_field_error(decode, field, "must be text, not %s", show(text, value));
	if (value->len == 0)
		return job_field_error(decode, field, "must not be empty");
	if ((int64_t)value->len > field->max)
		return job_field_error(decode, field, "must be at most %" PRId64 " bytes, not %zu", field->max,
				       value->len);
	if (memchr(value->text, '\0', value->len))
		return job_field_error(decode, field, "must not hold a NUL");
	*MEMBER(decode, field, const char *) = job_keep_text(decode, value->text, value->len);
	return 0;
}

static int take_task(struct decode *decode, const struct job_field *field)
{
	const struct mp_value *value = &job_found(decode, field)->value;

	if (take_text(decode, field))
		return ERR_INPUT;
	for (size_t i = 0; i < value->len; i++)
		if ((unsigned char)value->text[i] < 0x20 || value->text[i] == 0x7f)
			return job_field_error(decode, field, "must not hold control characters");
	return 0;
}

static int take_id(struct decode *decode, const struct job_field *field)
{
	const struct mp_value *value = &job_found(decode, field)->value;
	char text[QUOTE_TEXT + 16];

	if (value->type != MP_TEXT || !job_id_valid(value->text, value->len))
		return job_field_error(decode, field, "must be 1 to 200 characters of A-Za-z0-9._/@+=,- and not %s",
				       show(text, value));
	*MEMBER(decode, field, const char *) = job_keep_text(decode, value->text, value->len);
	return 0;
}

static int take_pool(struct decode *decode, const struct job_field *field)
{
	const struct mp_value *value = &job_found(decode, field)->value;
	char text[QUOTE_TEXT + 16];

	if (value->type != MP_TEXT || !job_pool_valid(value->text, value->len))
		return job_field_error(
			decode, field,
			"must be 1 to 63 characters of a-z0-9_- beginning with a letter or digit, not %s",
			show(text, value));
	decode->job.pool = job_keep_text(decode, value->text, value->len);
	return 0;
}

static int take_priority(struct decode *decode, const struct job_field *field)
{
	const struct mp_value *value = &job_found(decode, field)->value;
	const struct job_limits *limits = decode->limits;
	char text[QUOTE_TEXT + 16], names[256] = "";

	for (size_t i = 0; i < limits->priority_count; i++) {
		const char *name = limits->priorities[i];
		size_t used = strlen(names);
		if (value->type == MP_TEXT && value->len == strlen(name) && !memcmp(name, value->text, value->len)) {
			decode->job.priority = job_keep_text(decode, name, value->len);
			return 0;
		}
		snprintf(names + used, sizeof names - used, "%s%s", i ? ", " : "", name);
	}
	return job_field_error(decode, field, "must be one of %s, not %s", names, show(text, value));
}

static int take_argv(struct decode *decode, const struct job_field *field)
{
	struct found *found = job_found(decode, field);
	struct mp_cursor cursor = {found->inside, found->inside, found->end};
	struct job *job = &decode->job;
	size_t count = found->value.count;

	if (found->value.type != MP_ARRAY)
		return job_field_error(decode, field, "must be a list of texts, not %s",
				       mp_describe(found->value.type));
	if (count == 0)
		return job_field_error(decode, field, "must not be empty: the first is the program");
	job->argv = job_keep_array(decode, (count + 1) * sizeof(char *));
	for (size_t i = 0; i < count; i++) {
		struct mp_value value;
		mp_next(&cursor, &value);
		if (value.type != MP_TEXT)
			return job_field_error(decode, field, "entry %zu: must be text, not %s", i + 1,
					       mp_describe(value.type));
		if (memchr(value.text, '\0', value.len))
			return job_field_error(decode, field, "entry %zu: must not hold a NUL", i + 1);
		job->argv[i] = job_keep_text(decode, value.text, value.len);
	}
	job->argv[count] = NULL;
	job->argc = count;
	return 0;
}

static int take_pair(struct decode *decode, const struct job_field *field, struct mp_cursor *cursor,
		     struct job_pair *pair)
{
	struct mp_value key, value;
	char name[QUOTE_TEXT];

	mp_next(cursor, &key);
	mp_next(cursor, &value);
	quote_text(name, key.text, key.len);
	if (memchr(key.text, '\0', key.len))
		return job_field_error(decode, field, "the name `%s` must not hold a NUL", name);
	if (value.type != MP_TEXT)
		return job_field_error(decode, field, "the value of `%s` must be text, not %s", name,
				       mp_describe(value.type));
	if (memchr(value.text, '\0', value.len))
		return job_field_error(decode, field, "the value of `%s` must not hold a NUL", name);
	pair->key = job_keep_text(decode, key.text, key.len);
	pair->value = job_keep_text(decode, value.text, value.len);
	return 0;
}

static int take_pairs(struct decode *decode, const struct job_field *field, struct job_pair **ret, size_t *ret_count)
{
	struct found *found = job_found(decode, field);
	struct mp_cursor cursor = {found->inside, found->inside, found->end};

	if (found->value.type != MP_MAP)
		return job_field_error(decode, field, "must be a map of texts, not %s", mp_describe(found->value.type));
	*ret_count = found->value.count;
	*ret = job_keep_array(decode, found->value.count * sizeof **ret);
	for (size_t i = 0; i < found->value.count; i++)
		if (take_pair(decode, field, &cursor, &(*ret)[i]))
			return ERR_INPUT;
	return 0;
}

static int take_labels(struct decode *decode, const struct job_field *field)
{
	return take_pairs(decode, field, &decode->job.labels, &decode->job.label_count);
}

static int take_env(struct decode *decode, const struct job_field *field)
{
	struct job *job = &decode->job;

	if (take_pairs(decode, field, &job->env, &job->env_count))
		return ERR_INPUT;
	for (size_t i = 0; i < job->env_count; i++) {
		char name[QUOTE_TEXT];
		if (!*job->env[i].key)
			return job_field_error(decode, field, "a name must not be empty");
		if (strchr(job->env[i].key, '='))
			return job_field_error(decode, field, "the name `%s` must not hold a =",
					       quote_text(name, job->env[i].key, strlen(job->env[i].key)));
	}
	return 0;
}

/* Taken by job_decode itself, from the spec, when all else is right. */
static int take_args(struct decode *decode, const struct job_field *field)
{
	(void)field;
	decode->job.has_args = true;
	return 0;
}

#define ROW(name, take, min, max)                                                                                      \
	{                                                                                                              \
#name, take, offsetof(struct job, name), min, max                                                      \
	}

const struct job_field job_fields[JOB_FIELD_COUNT] = {
	ROW(args, take_args, 0, 0), /* first: job_decode looks for it there */
	{"v", take_version, 0, 1, 1},
	ROW(task, take_task, 1, 200),
	ROW(id, take_id, 1, 200),
	ROW(argv, take_argv, 0, 0),
	ROW(env, take_env, 0, 0),
	ROW(after, job_take_after, 0, 0),
	ROW(pool, take_pool, 1, 63),
	ROW(priority, take_priority, 0, 0),
	ROW(dedup, take_text, 1, JOB_DEDUP_MAX),
	ROW(reuse, take_bool, 0, 0),
	ROW(retries, take_int, 0, 1000),
	ROW(backoff_ms, take_int, 0, MOST_MS),
	ROW(backoff_max_ms, take_int, 0, MOST_MS),
	ROW(timeout_ms, take_int, 1, MOST_MS),
	ROW(delay_ms, take_int, 0, MOST_MS),
	ROW(run_at, take_int, 0, MOST_TIME),
	ROW(expires_at, take_int, 0, MOST_TIME),
	ROW(keep_s, take_int, 0, MOST_S),
	ROW(run, take_id, 1, 200),
	ROW(labels, take_labels, 0, 0),
};

size_t job_field_room(const struct decode *decode, const struct job_field *field)
{
	size_t count = decode->found[field - job_fields].value.count;

	if (field->take == job_take_after)
		return count * sizeof(struct job_dep);
	if (field->take == take_argv)
		return (count + 1) * sizeof(char *);
	if (field->take == take_env || field->take == take_labels)
		return count * sizeof(struct job_pair);
	return 0;
}
