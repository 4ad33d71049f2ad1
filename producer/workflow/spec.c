/* A loaded job on the wire. */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "workflow/fields_of.h"
#include "workflow/pack.h"
#include "workflow/plan.h"

const msgpack_object_map *fields_open(const struct workflow_job *job, msgpack_unpacked *ret)
{
	msgpack_unpacked_init(ret);
	/* The fields were packed by this directory and passed job_decode, so this cannot fail. */
	if (msgpack_unpack_next(ret, job->fields, job->fields_len, NULL) != MSGPACK_UNPACK_SUCCESS ||
	    ret->data.type != MSGPACK_OBJECT_MAP)
		abort();
	return &ret->data.via.map;
}

bool object_is(const msgpack_object *object, const char *text)
{
	return object->type == MSGPACK_OBJECT_STR && object->via.str.size == strlen(text) &&
	       !memcmp(object->via.str.ptr, text, strlen(text));
}

const msgpack_object *fields_get(const msgpack_object_map *map, const char *key)
{
	for (uint32_t i = 0; i < map->size; i++)
		if (object_is(&map->ptr[i].key, key))
			return &map->ptr[i].val;
	return NULL;
}

bool job_is_replay(const struct workflow_job *job)
{
	msgpack_unpacked unpacked;
	const msgpack_object *task = fields_get(fields_open(job, &unpacked), "task");
	bool replay = task && object_is(task, "replay");

	msgpack_unpacked_destroy(&unpacked);
	return replay;
}

char *workflow_job_id(const struct workflow *workflow, size_t index, const char *run)
{
	struct buf id = BUF_INIT;

	buf_addf(&id, "%s/%s", run, workflow->jobs[index].name);
	return buf_detach(&id);
}

static void pack_after(msgpack_packer *packer, const struct workflow *workflow, const struct workflow_job *job,
		       const char *run)
{
	pack_text(packer, "after");
	msgpack_pack_array(packer, job->after_count);
	for (size_t i = 0; i < job->after_count; i++) {
		CLEANUP(freep) char *id = workflow_job_id(workflow, job->after[i].from, run);

		if (job->after[i].when == JOB_WHEN_SUCCEEDED) {
			pack_text(packer, id);
			continue;
		}
		msgpack_pack_map(packer, 2);
		pack_text(packer, "id");
		pack_text(packer, id);
		pack_text(packer, "when");
		pack_text(packer, job_when_name(job->after[i].when));
	}
}

/* The args with the run's directory put in, unless they name one or are no map. */
static void pack_args(msgpack_packer *packer, const msgpack_object *args, const char *dir)
{
	bool map = args && args->type == MSGPACK_OBJECT_MAP;

	if (args && !map && args->type != MSGPACK_OBJECT_NIL) {
		msgpack_pack_object(packer, *args);
		return;
	}
	if (map && fields_get(&args->via.map, "dir")) {
		msgpack_pack_object(packer, *args);
		return;
	}
	msgpack_pack_map(packer, map ? args->via.map.size + 1 : 1);
	for (uint32_t i = 0; map && i < args->via.map.size; i++) {
		msgpack_pack_object(packer, args->via.map.ptr[i].key);
		msgpack_pack_object(packer, args->via.map.ptr[i].val);
	}
	pack_text(packer, "dir");
	pack_text(packer, dir);
}

static void pack_fields(msgpack_packer *packer, const msgpack_object_map *fields, const char *dir)
{
	for (uint32_t i = 0; i < fields->size; i++) {
		if (dir && object_is(&fields->ptr[i].key, "args"))
			continue;
		msgpack_pack_object(packer, fields->ptr[i].key);
		msgpack_pack_object(packer, fields->ptr[i].val);
	}
	if (!dir)
		return;
	pack_text(packer, "args");
	pack_args(packer, fields_get(fields, "args"), dir);
}

int workflow_spec(const struct workflow *workflow, size_t index, const char *run, int64_t now_ms,
		  const char *shared_dir, struct buf *ret, struct err *err)
{
	const struct workflow_job *job = &workflow->jobs[index];
	CLEANUP(freep) char *id = workflow_job_id(workflow, index, run);
	const msgpack_object_map *fields;
	msgpack_unpacked unpacked;
	msgpack_packer packer;
	const char *dir;
	size_t before = ret->len;

	if (!job_id_valid(id, strlen(id)))
		return err_set(err, ERR_INPUT,
			       "job %.150s: its id %.150s… would have %zu characters (at most 200), or ones that an id "
			       "cannot have: choose another --name",
			       job->name, id, strlen(id));
	fields = fields_open(job, &unpacked);
	dir = shared_dir && fields_get(fields, "task") && object_is(fields_get(fields, "task"), "replay") ? shared_dir
													  : NULL;
	pack_init(&packer, ret);
	msgpack_pack_map(&packer, fields->size + (dir && !fields_get(fields, "args")) + 2 + (job->after_count > 0) +
					  (job->expires_ms >= 0));
	pack_text(&packer, "id");
	pack_text(&packer, id);
	pack_text(&packer, "run");
	pack_text(&packer, run);
	pack_fields(&packer, fields, dir);
	msgpack_unpacked_destroy(&unpacked);
	if (job->after_count)
		pack_after(&packer, workflow, job, run);
	if (job->expires_ms >= 0) {
		pack_text(&packer, "expires_at");
		msgpack_pack_int64(&packer, now_ms + job->expires_ms);
	}
	if (ret->len - before <= job_limits_default.max_body)
		return 0;
	return err_set(err, ERR_INPUT,
		       "job %s: %zu bytes, more than the %zu of one message: choose a shorter --name, or put a job "
		       "between it and its predecessors",
		       job->name, ret->len - before, job_limits_default.max_body);
}
