/* Frames of the runner protocol: four bytes of length, the most significant first, then that many bytes. Pure. */
#ifndef FLOTILLA_CONSUMER_EXEC_FRAMES_H
#define FLOTILLA_CONSUMER_EXEC_FRAMES_H

#include <msgpack.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

/* The longest from a runner; what goes to it may be longer (a job and its predecessors' results). */
#define FRAME_MAX (2 * 1024 * 1024)

/* Bytes that have come, cut into frames. */
struct frames {
	struct buf bytes;
	size_t at; /* what is before it has been taken */
};

void frames_release(struct frames *frames);
void frames_add(struct frames *frames, const char *bytes, size_t len);
/* The next whole frame's inside: 1, valid until frames_add; 0: not there yet; ERR_INPUT: longer than FRAME_MAX. */
int frames_next(struct frames *frames, const char **ret, size_t *len, struct err *err);

/* Appends one frame. */
void frame_write(struct buf *out, const char *bytes, size_t len);

enum message_type { MESSAGE_HELLO, MESSAGE_PROGRESS, MESSAGE_OUTPUT, MESSAGE_RESULT, MESSAGE_ERROR };

/* What a runner says. Text is not NUL-terminated and lies in the frame. */
struct message {
	enum message_type type;
	int64_t version; /* HELLO */
	int64_t seq;     /* the others: of the job */
	const char *text;
	size_t len;
	bool bad_argument;            /* ERROR: another attempt would fail as well */
	const msgpack_object *result; /* RESULT: in `unpacked`; NULL: none */
	msgpack_unpacked unpacked;
};

/* Decodes a frame's inside, strictly but for keys that it does not know. ERR_INPUT in words; else message_release. */
int message_decode(const char *bytes, size_t len, struct message *ret, struct err *err);
/* A copy of its text as it is kept for people, up to 4 KiB; the caller frees. */
char *message_words(const struct message *message);
void message_release(struct message *message);

#endif
