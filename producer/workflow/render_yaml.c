/* A workflow as a workflow file, which workflow_load reads back as the same workflow. Values are written in YAML's flow
 * style, as JSON is; what would be a placeholder has its braces doubled. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "base/utf8.h"
#include "workflow/fields_of.h"
#include "workflow/plan.h"

#define KEY_MAX 1000

/* Fields of the wire that are durations in a file: the name there, and the unit. */
static const struct {
	const char *wire, *name, *unit;
} durations[] = {
	{"backoff_ms", "backoff", "ms"}, {"backoff_max_ms", "backoff_max", "ms"},
	{"timeout_ms", "timeout", "ms"}, {"delay_ms", "delay", "ms"},
	{"keep_s", "keep", "s"},
};

/* Text that YAML takes as text without quotes, whichever of its versions reads it. */
static bool plain(const char *text, size_t len)
{
	static const char *const typed[] = {"y", "n", "yes", "no", "on", "off", "true", "false", "null"};

	if (!len || !((*text >= 'a' && *text <= 'z') || (*text >= 'A' && *text <= 'Z')))
		return false;
	for (size_t i = 0; i < len; i++)
		if (!((text[i] >= 'A' && text[i] <= 'Z') || (text[i] >= 'a' && text[i] <= 'z') ||
		      (text[i] >= '0' && text[i] <= '9') || memchr("_./-", text[i], 4)))
			return false;
	for (size_t i = 0; i < sizeof typed / sizeof *typed; i++)
		if (strlen(typed[i]) == len && !strncasecmp(typed[i], text, len))
			return false;
	return true;
}

/* Control characters, and those that YAML allows in no text or takes for the end of a line. */
static bool must_escape(uint32_t c)
{
	return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x2028 || c == 0x2029 || c == 0xfeff || c == 0xfffe ||
	       c == 0xffff;
}

static uint32_t code_point(const char *text, size_t len)
{
	static const unsigned char masks[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
	uint32_t c = (unsigned char)*text & masks[len];

	for (size_t i = 1; i < len; i++)
		c = c << 6 | ((unsigned char)text[i] & 0x3f);
	return c;
}

static void add_text(struct buf *ret, const char *text, size_t len, bool double_braces)
{
	if (plain(text, len)) {
		buf_add(ret, text, len);
		return;
	}
	buf_adds(ret, "\"");
	for (size_t i = 0; i < len;) {
		size_t used = utf8_char(text + i, len - i);
		uint32_t c = used ? code_point(text + i, used) : 0xfffd;

		if (c == '"' || c == '\\')
			buf_adds(ret, "\\");
		if (must_escape(c))
			buf_addf(ret, "\\u%04" PRIX32, c);
		else
			buf_add(ret, text + i, used);
		if (double_braces && (c == '{' || c == '}'))
			buf_add(ret, text + i, 1);
		i += used ? used : 1;
	}
	buf_adds(ret, "\"");
}

/* A key with what parts it from its value. Of more than 1024 bytes YAML takes one only where it is announced. */
static void add_key(struct buf *ret, const char *text, size_t len, const char *part)
{
	CLEANUP(buf_release) struct buf key = BUF_INIT;

	add_text(&key, text, len, false);
	if (key.len > KEY_MAX)
		buf_addf(ret, "? %s%s", key.data, part);
	else
		buf_addf(ret, "%s: ", key.data);
}

/* The shortest form that reads back as the same number, and as no whole one. */
static void add_real(struct buf *ret, double value)
{
	char text[40];
	size_t digits;

	for (int precision = 15; precision <= 17; precision++) {
		snprintf(text, sizeof text, "%.*g", precision, value);
		if (strtod(text, NULL) == value)
			break;
	}
	digits = strcspn(text, ".e");
	buf_add(ret, text, digits);
	if (text[digits] != '.')
		buf_adds(ret, ".0");
	buf_adds(ret, text + digits);
}

static void add_value(struct buf *ret, const msgpack_object *value)
{
	const msgpack_object_map *map = &value->via.map;
	const msgpack_object_array *array = &value->via.array;

	switch (value->type) {
	case MSGPACK_OBJECT_BOOLEAN: buf_adds(ret, value->via.boolean ? "true" : "false"); break;
	case MSGPACK_OBJECT_POSITIVE_INTEGER: buf_addf(ret, "%" PRIu64, value->via.u64); break;
	case MSGPACK_OBJECT_NEGATIVE_INTEGER: buf_addf(ret, "%" PRId64, value->via.i64); break;
	case MSGPACK_OBJECT_FLOAT32:
	case MSGPACK_OBJECT_FLOAT64: add_real(ret, value->via.f64); break;
	case MSGPACK_OBJECT_STR: add_text(ret, value->via.str.ptr, value->via.str.size, true); break;
	case MSGPACK_OBJECT_ARRAY:
		buf_adds(ret, "[");
		for (uint32_t i = 0; i < array->size; i++) {
			buf_adds(ret, i ? ", " : "");
			add_value(ret, &array->ptr[i]);
		}
		buf_adds(ret, "]");
		break;
	case MSGPACK_OBJECT_MAP:
		buf_adds(ret, "{");
		for (uint32_t i = 0; i < map->size; i++) {
			buf_adds(ret, i ? ", " : "");
			add_key(ret, map->ptr[i].key.via.str.ptr, map->ptr[i].key.via.str.size, " : ");
			add_value(ret, &map->ptr[i].val);
		}
		buf_adds(ret, "}");
		break;
	default: buf_adds(ret, "null");
	}
}

static void add_field(struct buf *ret, const msgpack_object_kv *field)
{
	for (size_t i = 0; i < sizeof durations / sizeof *durations; i++)
		if (object_is(&field->key, durations[i].wire)) {
			buf_addf(ret, "    %s: %" PRIu64 "%s\n", durations[i].name, field->val.via.u64,
				 durations[i].unit);
			return;
		}
	buf_addf(ret, "    %.*s: ", (int)field->key.via.str.size, field->key.via.str.ptr);
	add_value(ret, &field->val);
	buf_adds(ret, "\n");
}

static void add_after(struct buf *ret, const struct workflow *workflow, const struct workflow_job *job)
{
	buf_adds(ret, "    after: [");
	for (size_t i = 0; i < job->after_count; i++) {
		const struct workflow_edge *edge = &job->after[i];
		const char *name = workflow->jobs[edge->from].name;

		buf_adds(ret, i ? ", " : "");
		if (edge->when != JOB_WHEN_SUCCEEDED)
			buf_adds(ret, "{id: ");
		add_text(ret, name, strlen(name), true);
		if (edge->when != JOB_WHEN_SUCCEEDED)
			buf_addf(ret, ", when: %s}", job_when_name(edge->when));
	}
	buf_adds(ret, "]\n");
}

static void add_job(struct buf *ret, const struct workflow *workflow, const struct workflow_job *job)
{
	msgpack_unpacked unpacked;
	const msgpack_object_map *fields = fields_open(job, &unpacked);

	buf_adds(ret, "  ");
	add_text(ret, job->name, strlen(job->name), false);
	buf_adds(ret, ":\n");
	for (uint32_t i = 0; i < fields->size; i++)
		add_field(ret, &fields->ptr[i]);
	msgpack_unpacked_destroy(&unpacked);
	if (job->expires_ms >= 0)
		buf_addf(ret, "    expires: %" PRId64 "ms\n", job->expires_ms);
	if (job->after_count)
		add_after(ret, workflow, job);
}

int workflow_yaml(const struct workflow *workflow, struct buf *ret, struct err *err)
{
	if (!workflow->count)
		return err_set(err, ERR_INPUT, "a workflow without jobs cannot be written as a file");
	buf_adds(ret, "name: ");
	add_text(ret, workflow->name, strlen(workflow->name), false);
	buf_adds(ret, "\n");
	if (workflow->file_count)
		buf_adds(ret, "files:  # made in the run's directory before it begins: name and size in bytes\n");
	for (size_t i = 0; i < workflow->file_count; i++) {
		buf_adds(ret, "  ");
		add_key(ret, workflow->files[i].name, strlen(workflow->files[i].name), "\n  : ");
		buf_addf(ret, "%" PRId64 "\n", workflow->files[i].size);
	}
	buf_adds(ret, "jobs:\n");
	for (size_t i = 0; i < workflow->count; i++)
		add_job(ret, workflow, &workflow->jobs[i]);
	return 0;
}
