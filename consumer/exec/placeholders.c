/* What stands in braces in a command of the handlers file: {id} {run} {task} {attempt} {pool} {priority} {dir}, {args}
 * and {args.PATH}, where PATH goes through maps by key and through lists by number. A doubled brace is a brace. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "exec/internal.h"
#include "job/json.h"

enum name { NAME_ID, NAME_RUN, NAME_TASK, NAME_ATTEMPT, NAME_POOL, NAME_PRIORITY, NAME_DIR, NAME_ARGS, NAME_NONE };
static const char *const names[] = {"id", "run", "task", "attempt", "pool", "priority", "dir", "args"};

static enum name find_name(const char *text, size_t len)
{
	int i = 0;
	if (len >= 4 && memcmp(text, "args", 4) == 0 && (len == 4 || text[4] == '.'))
		return NAME_ARGS;
	while (i < NAME_NONE && (strlen(names[i]) != len || memcmp(names[i], text, len) != 0))
		i++;
	return (enum name)i;
}

/* The next placeholder from `text`, its inside; what is before it goes to `literal` (may be NULL). NULL at the end. */
static const char *next(const char *text, struct buf *literal, size_t *len)
{
	for (; *text; text++) {
		if (*text == '{' && text[1] != '{') {
			*len = strcspn(text + 1, "}");
			return text + 1;
		}
		if ((*text == '{' || *text == '}') && text[1] == *text)
			text++;
		if (literal)
			buf_add(literal, text, 1);
	}
	return NULL;
}

int placeholders_check(const char *text, struct err *err)
{
	size_t len;

	while ((text = next(text, NULL, &len))) {
		if (!text[len])
			return err_set(err, ERR_INPUT, "a { that is never closed; for a brace write {{");
		if (find_name(text, len) == NAME_NONE)
			return err_set(err, ERR_INPUT,
				       "{%.*s} is none of {id} {run} {task} {attempt} {pool} {priority} {dir} "
				       "{args.NAME}; for a brace write {{",
				       (int)len, text);
		text += len + 1;
	}
	return 0;
}

bool placeholder_leads(const char *text) { return text[0] == '{' && text[1] != '{'; }

bool placeholders_any(const char *text)
{
	size_t len;
	return next(text, NULL, &len) != NULL;
}

bool placeholders_of_publisher(const char *text)
{
	size_t len;

	while ((text = next(text, NULL, &len))) {
		enum name name = find_name(text, len);
		if (name == NAME_ARGS || name == NAME_ID || name == NAME_RUN)
			return true;
		text += len + 1;
	}
	return false;
}

static const msgpack_object *step(const msgpack_object *from, const char *key, size_t len)
{
	if (from->type == MSGPACK_OBJECT_MAP) {
		for (uint32_t i = 0; i < from->via.map.size; i++) {
			const msgpack_object_kv *kv = &from->via.map.ptr[i];
			if (kv->key.type == MSGPACK_OBJECT_STR && kv->key.via.str.size == len &&
			    memcmp(kv->key.via.str.ptr, key, len) == 0)
				return &kv->val;
		}
	} else if (from->type == MSGPACK_OBJECT_ARRAY && len > 0 && len < 9) {
		uint32_t at = 0;
		for (size_t i = 0; i < len; i++) {
			if (key[i] < '0' || key[i] > '9')
				return NULL;
			at = at * 10 + (uint32_t)(key[i] - '0');
		}
		if (at < from->via.array.size)
			return &from->via.array.ptr[at];
	}
	return NULL;
}

/* `path` is "args" or "args.a.b". */
static const msgpack_object *walk(const struct job *job, const char *path, size_t len)
{
	const msgpack_object *at = job->has_args ? &job->args : NULL;
	const char *end = path + len;

	path += strlen("args");
	while (at && path < end) {
		const char *key = path + 1;
		const char *dot = memchr(key, '.', (size_t)(end - key));
		path = dot ? dot : end;
		at = step(at, key, (size_t)(path - key));
	}
	return at;
}

static int add_args(struct buf *ret, const struct job *job, const char *path, size_t len, struct err *err)
{
	const msgpack_object *value = walk(job, path, len);

	if (!value)
		return err_set(err, ERR_INPUT, "{%.*s}: the job has no such argument", (int)len, path);
	if (value->type != MSGPACK_OBJECT_STR)
		return msgpack_to_json(value, ret, err);
	if (memchr(value->via.str.ptr, '\0', value->via.str.size))
		return err_set(err, ERR_INPUT, "{%.*s}: a NUL cannot stand in a command line", (int)len, path);
	buf_add(ret, value->via.str.ptr, value->via.str.size);
	return 0;
}

static int add_value(struct buf *ret, const struct attempt *attempt, const char *dir, const char *name, size_t len,
		     struct err *err)
{
	const struct job *job = attempt->job;
	const char *text = NULL;

	switch (find_name(name, len)) {
	case NAME_ARGS: return add_args(ret, job, name, len, err);
	case NAME_ATTEMPT: buf_addf(ret, "%lld", (long long)attempt->number); return 0;
	case NAME_ID: text = job->id; break;
	case NAME_RUN: text = job->run; break;
	case NAME_TASK: text = job->task; break;
	case NAME_POOL: text = job->pool; break;
	case NAME_PRIORITY: text = job->priority; break;
	case NAME_DIR: text = dir; break;
	case NAME_NONE: break;
	}
	if (!text)
		return err_set(err, ERR_INPUT, "{%.*s}: the job has none", (int)len, name);
	buf_adds(ret, text);
	return 0;
}

int placeholders_fill(const char *text, const struct attempt *attempt, const char *dir, char **ret, struct err *err)
{
	CLEANUP(buf_release) struct buf filled = BUF_INIT;
	size_t len;
	int r;

	while ((text = next(text, &filled, &len))) {
		r = add_value(&filled, attempt, dir, text, len, err);
		if (r < 0)
			return r;
		text += len + 1;
	}
	*ret = buf_detach(&filled);
	return 0;
}
