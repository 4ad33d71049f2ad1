/* The checks of the wire, run on what a file says of a job, so that nothing is submitted that a worker would reject. */
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "workflow/pack.h"
#include "workflow/plan.h"

static int decode(const char *fields, size_t len, const struct job_limits *limits, struct err *err)
{
	struct job_message message = {.body = fields, .body_len = len, .content_type = "application/msgpack"};
	struct job job;

	if (job_decode(&job, &message, limits, err) < 0)
		return err->code;
	job_release(&job);
	return 0;
}

/* Whether a field is refused with nothing beside it but a task. */
static bool refused_alone(const msgpack_object_kv *field, const struct job_limits *limits)
{
	CLEANUP(buf_release) struct buf alone = BUF_INIT;
	msgpack_packer packer;
	struct err ignored;

	pack_init(&packer, &alone);
	if (field->key.via.str.size == 4 && !memcmp(field->key.via.str.ptr, "task", 4)) {
		msgpack_pack_map(&packer, 1);
	} else {
		msgpack_pack_map(&packer, 2);
		pack_text(&packer, "task");
		pack_text(&packer, "x");
	}
	msgpack_pack_object(&packer, field->key);
	msgpack_pack_object(&packer, field->val);
	return decode(alone.data, alone.len, limits, &ignored) < 0;
}

static void find_guilty(const char *fields, size_t len, const struct job_limits *limits, char wire[WIRE_NAME_SIZE])
{
	msgpack_unpacked map;

	msgpack_unpacked_init(&map);
	if (msgpack_unpack_next(&map, fields, len, NULL) == MSGPACK_UNPACK_SUCCESS &&
	    map.data.type == MSGPACK_OBJECT_MAP)
		for (uint32_t i = 0; i < map.data.via.map.size; i++) {
			const msgpack_object_kv *field = &map.data.via.map.ptr[i];
			const msgpack_object_str *key = &field->key.via.str;

			/* `reuse` is refused without `dedup`, so it is never known to be the one. */
			if ((key->size == 5 && !memcmp(key->ptr, "reuse", 5)) || !refused_alone(field, limits))
				continue;
			snprintf(wire, WIRE_NAME_SIZE, "%.*s", (int)key->size, key->ptr);
			break;
		}
	msgpack_unpacked_destroy(&map);
}

int fields_check(const char *fields, size_t len, const struct job_limits *limits, char wire[WIRE_NAME_SIZE],
		 struct err *err)
{
	*wire = '\0';
	if (decode(fields, len, limits, err) == 0)
		return 0;
	find_guilty(fields, len, limits, wire);
	return err->code;
}
