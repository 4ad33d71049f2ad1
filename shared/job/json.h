/* JSON and MessagePack, one into the other. Pure. */
#ifndef FLOTILLA_JOB_JSON_H
#define FLOTILLA_JOB_JSON_H

#include <msgpack.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"

/* Deepest nesting that is taken; the outermost container is level 1. */
#define JOB_MAX_DEPTH 32

/* JSON text (UTF-8, one value, nothing behind it) to MessagePack, appended to `ret`. Refused with ERR_INPUT and the
 * place: what is no JSON, duplicate keys, bad UTF-8, deeper than `max_depth` levels, an integer that neither int64 nor
 * uint64 holds. Integers stay integers (uint64 above int64), reals become float 64. */
int json_to_msgpack(const char *text, size_t len, int max_depth, struct buf *ret, struct err *err);

/* Appends `object` as compact JSON. Maps must have text keys; what JSON cannot say (binary, extension, NaN) is
 * ERR_INPUT. Text is written as UTF-8; control characters are escaped. Reals round-trip (shortest of %.15g and %.17g).
 */
int msgpack_to_json(const msgpack_object *object, struct buf *ret, struct err *err);

/* Checks bytes that came from outside before msgpack-c allocates for them: exactly one value, complete, nothing behind
 * it; at most JOB_MAX_DEPTH levels; text keys, each once in its map, valid UTF-8; no binary, extension, NaN or
 * infinity. Lengths are held against the bytes there are, so that a short message cannot make anyone allocate
 * gigabytes. */
int msgpack_check(const char *bytes, size_t len, struct err *err);

/* Appends text as a JSON string with its quotes. Bytes that are not UTF-8 become U+FFFD. */
void json_add_string(struct buf *ret, const char *text, size_t len);

#endif
