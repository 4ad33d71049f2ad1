/* What decode.c, fields.c and after.c share while a message becomes a job. Not for others. */
#ifndef FLOTILLA_JOB_DECODE_H
#define FLOTILLA_JOB_DECODE_H

#include "base/buf.h"
#include "job/job.h"
#include "job/mpread.h"

#define JOB_FIELD_COUNT 21
#define JOB_ID_MADE_LEN 26
#define JOB_DEDUP_MAX 256 /* bytes of a key, as a client writes it */

struct decode;

/* A field of the wire. `take` puts its value into the job; it is not called for null. */
struct job_field {
	const char *name;
	int (*take)(struct decode *decode, const struct job_field *field);
	size_t offset; /* of the member in struct job */
	int64_t min;   /* ints: the range; text: the lengths */
	int64_t max;
};

extern const struct job_field job_fields[JOB_FIELD_COUNT];

/* Where the message has a field: the value, and its bytes from beginning to end; `inside` is behind its header. */
struct found {
	struct mp_value value;
	const char *start;
	const char *inside;
	const char *end;
};

/* All that a job points to is in one allocation: this, then arrays, text and the spec. */
struct job_arena {
	msgpack_zone zone; /* where has_zone */
	bool has_zone;
	char id[JOB_ID_MADE_LEN + 1];
};

struct decode {
	struct job job;
	const struct job_message *message;
	const struct job_limits *limits;
	struct err *err;
	bool stored;        /* a spec, not a message */
	size_t user_fields; /* how many fields say who published it */
	const char *user;   /* the last one's text; NULL: none */
	size_t user_len;
	const char *body; /* MessagePack */
	size_t body_len;
	struct found found[JOB_FIELD_COUNT]; /* start is NULL where absent or null */
	char *arrays;                        /* free room in the arena, aligned for pointers */
	char *text;                          /* free room in the arena */
};

static inline struct found *job_found(struct decode *decode, const struct job_field *field)
{
	return &decode->found[field - job_fields];
}

/* Fills err with "field `NAME`: ..." and returns ERR_INPUT. */
int job_field_error(struct decode *decode, const struct job_field *field, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* A NUL-terminated copy in the arena. Room was counted for everything that the message holds. */
const char *job_keep_text(struct decode *decode, const char *text, size_t len);
void *job_keep_array(struct decode *decode, size_t size);

/* The room that the field's array needs, by the number of values in it. */
size_t job_field_room(const struct decode *decode, const struct job_field *field);

/* user.c: who published it. The body gets it as one field more (one that is no map is left for others to refuse); a
 * field whose name begins with x- is looked at for it; the room that it needs; the dedup key is made the user's own. */
int job_add_user(struct decode *decode, struct buf *owned);
int job_find_user(struct decode *decode, const struct mp_value *key, const struct found *found);
size_t job_user_room(const struct decode *decode);
void job_scope_dedup(struct decode *decode);
int job_take_after(struct decode *decode, const struct job_field *field);

/* Each predecessor once; ERR_INPUT for two different `when`, and for the job itself. Once the id is known. */
int job_settle_after(struct decode *decode);

#endif
