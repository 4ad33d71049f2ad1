/* Reading MessagePack value by value from bytes that nobody has checked. Pure; allocates nothing. */
#ifndef FLOTILLA_JOB_MPREAD_H
#define FLOTILLA_JOB_MPREAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum mp_type {
	MP_NIL,
	MP_BOOL,
	MP_INT,  /* fits int64 */
	MP_UINT, /* above it */
	MP_REAL,
	MP_TEXT,
	MP_ARRAY,
	MP_MAP,
	MP_BINARY,
	MP_EXTENSION,
	MP_RESERVED, /* the byte 0xc1, which means nothing */
	MP_SHORT     /* more is promised than there is */
};

/* One value; of an array or map only its beginning: `count` values, or pairs, follow. */
struct mp_value {
	enum mp_type type;
	bool boolean;
	int64_t integer;
	uint64_t natural;
	double real;
	const char *text; /* TEXT: into the bytes read */
	size_t len;
	size_t count;
};

struct mp_cursor {
	const char *start;
	const char *at;
	const char *end;
};

/* Reads the value at the cursor and moves behind it; false, and the cursor stays, for RESERVED and SHORT. An array or
 * map that promises more children than there are bytes is SHORT. */
bool mp_next(struct mp_cursor *cursor, struct mp_value *ret);

/* Moves behind a whole value with all it holds, in constant memory; false where the bytes end before it does. */
bool mp_skip(struct mp_cursor *cursor);

/* "text", "a list" ...: what a value is, for errors. */
const char *mp_describe(enum mp_type type);

/* The value as a whole number: an int, or a real that is whole and below 2^53. */
bool mp_whole(const struct mp_value *value, int64_t *ret);

#endif
