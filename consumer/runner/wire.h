/* The runner's side of the runner protocol (docs/runner-protocol.md), with blocking calls. */
#ifndef FLOTILLA_CONSUMER_RUNNER_WIRE_H
#define FLOTILLA_CONSUMER_RUNNER_WIRE_H

#include <msgpack.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

struct wire {
	int in, out;
};

/* Reads one message; the caller destroys `ret`. False at the end of the stream, or where it is no message. */
bool wire_read(struct wire *wire, msgpack_unpacked *ret);
/* Whether something has come that has not been read. */
bool wire_waiting(const struct wire *wire);

void wire_hello(struct wire *wire);
void wire_progress(struct wire *wire, int64_t seq, const char *text);
/* `result` is one MessagePack value, or empty: none. */
void wire_result(struct wire *wire, int64_t seq, const struct buf *result);
void wire_error(struct wire *wire, int64_t seq, const char *text, bool bad_argument);

/* The member of a map, or NULL. */
const msgpack_object *wire_member(const msgpack_object *map, const char *key);
/* Its text in memory of its own (to free), NULL where it is none; its whole number, 0 where it is none. */
char *wire_text(const msgpack_object *map, const char *key);
int64_t wire_int(const msgpack_object *map, const char *key);

#endif
