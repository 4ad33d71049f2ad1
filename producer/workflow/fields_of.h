/* A loaded job's fields, taken out of their MessagePack. Private to this directory. */
#ifndef FLOTILLA_PRODUCER_WORKFLOW_FIELDS_OF_H
#define FLOTILLA_PRODUCER_WORKFLOW_FIELDS_OF_H

#include <msgpack.h>

#include "workflow/workflow.h"

/* The map of a job's fields, which workflow_load made. Release with msgpack_unpacked_destroy. */
const msgpack_object_map *fields_open(const struct workflow_job *job, msgpack_unpacked *ret);

/* The value of a key, or NULL. */
const msgpack_object *fields_get(const msgpack_object_map *map, const char *key);

/* Whether a key or a value is this text. */
bool object_is(const msgpack_object *object, const char *text);

#endif
