/* The fields of one job: those of the wire under their names in a workflow file, which are those of the table below.
 * To add a field: a row there, and whatever job/decode.c needs. */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/duration.h"
#include "workflow/pack.h"
#include "workflow/yaml_file.h"

enum kind {
	KIND_VALUE,   /* as it is */
	KIND_TEXT,    /* scalars in it become text */
	KIND_MS,      /* a duration, milliseconds on the wire */
	KIND_SECONDS, /* a duration, seconds on the wire, rounded up */
	KIND_EXPIRES,
	KIND_AFTER,
	KIND_MATRIX
};

struct field {
	const char *name;
	const char *wire;
	enum kind kind;
	const char *instead; /* the one that, if the job itself has it, takes the default's place */
};

static const struct field fields[] = {
	{"task", "task", KIND_TEXT, NULL},
	{"args", "args", KIND_VALUE, NULL},
	{"argv", "argv", KIND_TEXT, NULL},
	{"env", "env", KIND_TEXT, NULL},
	{"pool", "pool", KIND_TEXT, NULL},
	{"priority", "priority", KIND_TEXT, NULL},
	{"dedup", "dedup", KIND_TEXT, NULL},
	{"reuse", "reuse", KIND_VALUE, NULL},
	{"retries", "retries", KIND_VALUE, NULL},
	{"backoff", "backoff_ms", KIND_MS, NULL},
	{"backoff_max", "backoff_max_ms", KIND_MS, NULL},
	{"timeout", "timeout_ms", KIND_MS, NULL},
	{"delay", "delay_ms", KIND_MS, "run_at"},
	{"run_at", "run_at", KIND_VALUE, "delay"},
	{"keep", "keep_s", KIND_SECONDS, NULL},
	{"labels", "labels", KIND_TEXT, NULL},
	{"expires", NULL, KIND_EXPIRES, NULL},
	{"after", NULL, KIND_AFTER, NULL},
	{"matrix", NULL, KIND_MATRIX, NULL},
};
#define FIELDS (sizeof fields / sizeof *fields)

/* Fields of the wire that have no place in a file, and what to write instead. */
static const struct {
	const char *name;
	const char *why;
} refused[] = {
	{"id", "a job's id is RUN/NAME, NAME being its key here: leave `id` out"},
	{"run", "`run` is given to `flotilla run --name`: leave it out"},
	{"v", "`v` is set by flotilla: leave it out"},
	{"when", "`when` belongs to a predecessor: after: [{ id: NAME, when: failed }]"},
	{"backoff_ms", "write a duration: backoff: 500ms"},
	{"backoff_max_ms", "write a duration: backoff_max: 5m"},
	{"timeout_ms", "write a duration: timeout: 10s"},
	{"delay_ms", "write a duration: delay: 10s"},
	{"keep_s", "write a duration: keep: 24h"},
	{"expires_at", "write a duration from submission: expires: 2h"},
};

static const char *next_field(void *data)
{
	size_t *at = data;
	return *at < FIELDS ? fields[(*at)++].name : NULL;
}

static int unknown_field(const struct yaml_node *node, struct err *err)
{
	struct yaml_node at = *node;
	size_t next = 0;
	const char *near;

	at.line = node->key_line;
	for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
		if (!strcmp(node->key, refused[i].name))
			return yaml_error(err, &at, "%s", refused[i].why);
	near = nearest_name(node->key, next_field, &next);
	if (near)
		return yaml_error(err, &at, "unknown field %s; is %s meant?", node->key, near);
	return yaml_error(err, &at, "unknown field %s: leave it out, or let its name begin with x-", node->key);
}

int fields_check_names(const struct yaml_node *map, bool defaults, struct err *err)
{
	for (size_t i = 0; i < map->count; i++) {
		const struct yaml_node *node = map->items[i];
		size_t k = 0;

		if (!strncmp(node->key, "x-", 2))
			continue;
		while (k < FIELDS && strcmp(fields[k].name, node->key) != 0)
			k++;
		if (k == FIELDS)
			return unknown_field(node, err);
		if (defaults && (fields[k].kind == KIND_AFTER || fields[k].kind == KIND_MATRIX))
			return yaml_error(err, node, "`%s` can be no default: write it in each job", node->key);
	}
	return 0;
}

static const struct yaml_node *field_node(const struct reader *reader, const struct yaml_node *job,
					  const struct field *field)
{
	const struct yaml_node *node = yaml_get(job, field->name);

	if (node || !reader->defaults || (field->instead && yaml_get(job, field->instead)))
		return node;
	return yaml_get(reader->defaults, field->name);
}

static int read_duration(const struct scope *scope, const struct yaml_node *node, const char *name, int64_t *ret,
			 struct err *err)
{
	CLEANUP(buf_release) struct buf text = BUF_INIT;
	struct err why;

	if (scope_text(scope, node, &text, err) < 0)
		return err->code;
	buf_adds(&text, "");
	if (strlen(text.data) != text.len || duration_parse(text.data, ret, &why) < 0)
		return yaml_error(err, node, "%s: %s", name, strlen(text.data) != text.len ? "a NUL" : why.text);
	return 0;
}

/* Appends one field, name and value, and counts it. `ret` holds what a map is to hold, without its header. */
static int pack_field(const struct scope *scope, const struct field *field, const struct yaml_node *node,
		      struct plan_job *job, struct buf *ret, size_t *count, struct err *err)
{
	const struct yaml_node *value;
	msgpack_packer packer;
	int64_t ms;
	bool raw;
	int r;

	r = scope_resolve(scope, node, &value, &raw, err);
	if (r < 0 || (value->kind == YAML_SCALAR && yaml_scalar_type(value, NULL) == YAML_TYPE_NULL))
		return r;
	pack_init(&packer, ret);
	if (field->wire) {
		pack_text(&packer, field->wire);
		++*count;
	}
	if (field->kind == KIND_VALUE || field->kind == KIND_TEXT)
		return scope_pack(scope, value, raw, field->kind == KIND_TEXT, ret, err);
	r = read_duration(scope, node, field->name, &ms, err);
	if (r < 0)
		return r;
	if (field->kind == KIND_EXPIRES)
		job->expires_ms = ms;
	else
		msgpack_pack_int64(&packer, field->kind == KIND_SECONDS ? (ms + 999) / 1000 : ms);
	return 0;
}

/* One predecessor of `after`: a name, or a map of `id` and `when`. */
static int read_dep(const struct scope *scope, const struct yaml_node *node, struct plan_job *job, struct err *err)
{
	CLEANUP(buf_release) struct buf name = BUF_INIT;
	CLEANUP(buf_release) struct buf word = BUF_INIT;
	const struct yaml_node *id = node, *when = NULL;
	int parsed = JOB_WHEN_SUCCEEDED;

	if (node->kind == YAML_MAP) {
		id = yaml_get(node, "id");
		when = yaml_get(node, "when");
		if (!id || node->count != (when ? 2 : 1))
			return yaml_error(err, node, "after: write a name, or { id: NAME, when: failed }");
	}
	if (scope_text(scope, id, &name, err) < 0)
		return err->code;
	if (when) {
		if (scope_text(scope, when, &word, err) < 0)
			return err->code;
		parsed = job_when_parse(word.data ? word.data : "", word.len);
		if (parsed < 0)
			return yaml_error(err, when, "when is %s; it can be succeeded, failed or ended",
					  word.len ? word.data : "empty");
	}
	if (!name.len)
		return yaml_error(err, id, "after: a name is empty");
	name_clean(name.data, true);
	plan_depend(job, buf_detach(&name), 0, (enum job_when)parsed, id->line);
	return 0;
}

static int read_after(const struct scope *scope, const struct yaml_node *node, struct plan_job *job, struct err *err)
{
	const struct scope none = {.sets = scope->sets};
	const struct scope *inner = scope;
	const struct yaml_node *value;
	bool raw;
	int r;

	r = scope_resolve(scope, node, &value, &raw, err);
	if (r < 0 || (value->kind == YAML_SCALAR && yaml_scalar_type(value, NULL) == YAML_TYPE_NULL))
		return r;
	if (raw)
		inner = &none;
	if (value->kind != YAML_SEQ)
		return read_dep(inner, value, job, err);
	for (size_t i = 0; i < value->count && r == 0; i++)
		r = read_dep(inner, value->items[i], job, err);
	return r;
}

/* Finds the field that the wire refuses by itself, to name its line; `job` where it is no single one. */
static const struct yaml_node *guilty(const struct reader *reader, const struct yaml_node *job, const char *wire)
{
	for (size_t i = 0; i < FIELDS && *wire; i++) {
		const struct yaml_node *node = field_node(reader, job, &fields[i]);
		if (node && fields[i].wire && !strcmp(fields[i].wire, wire))
			return node;
	}
	return job;
}

static int check(const struct reader *reader, const struct yaml_node *node, const struct plan_job *job, struct err *err)
{
	char wire[WIRE_NAME_SIZE];
	struct err why;

	if (fields_check(job->fields, job->fields_len, reader->limits, wire, &why) == 0)
		return 0;
	return yaml_error(err, guilty(reader, node, wire), "job %s: %s", job->name, why.text);
}

int fields_read(const struct reader *reader, const struct scope *scope, const struct yaml_node *node,
		struct plan_job *job, struct err *err)
{
	CLEANUP(buf_release) struct buf packed = BUF_INIT;
	CLEANUP(buf_release) struct buf whole = BUF_INIT;
	msgpack_packer packer;
	size_t count = 0;
	int r = 0;

	for (size_t i = 0; i < FIELDS && r == 0; i++) {
		const struct yaml_node *value = field_node(reader, node, &fields[i]);

		if (!value || fields[i].kind == KIND_MATRIX)
			continue;
		if (fields[i].kind == KIND_AFTER)
			r = read_after(scope, value, job, err);
		else
			r = pack_field(scope, &fields[i], value, job, &packed, &count, err);
	}
	if (r < 0)
		return r;
	pack_init(&packer, &whole);
	msgpack_pack_map(&packer, count);
	buf_add(&whole, packed.data, packed.len);
	job->fields_len = whole.len;
	job->fields = buf_detach(&whole);
	return check(reader, node, job, err);
}
