/* Ids that the fleet makes, and ids of messages that are no jobs. */
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "job/decode.h"
#include "job/json.h"

/* JSON larger than this is not read for an id alone. */
#define GUESS_MAX (4U << 20)
#define GUESS_DEPTH 512

/* 48 bits of time, 80 of chance, five bits a character, the highest first. */
static void make_id(char *ret)
{
	static const char digits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
	uint64_t now = (uint64_t)clock_wall_ms();
	unsigned char chance[16];

	for (int i = 0; i < 10; i++)
		ret[i] = digits[now >> (45 - 5 * i) & 31];
	random_bytes(chance, sizeof chance);
	for (int i = 0; i < 16; i++)
		ret[10 + i] = digits[chance[i] & 31];
	ret[JOB_ID_MADE_LEN] = '\0';
}

void job_make_id(struct job *job)
{
	struct job_arena *arena = job->arena;

	if (!arena) {
		arena = xmalloc(sizeof *arena);
		arena->has_zone = false;
		job->arena = arena;
	}
	make_id(arena->id);
	job->id = arena->id;
}

/* The id in a map, as far as the bytes can be read. */
static char *find_id(const char *body, size_t len)
{
	struct mp_cursor cursor = {body, body, body + len};
	struct mp_value map, key, value;

	if (!mp_next(&cursor, &map) || map.type != MP_MAP)
		return NULL;
	for (size_t i = 0; i < map.count; i++) {
		struct mp_cursor at = cursor;
		if (!mp_skip(&cursor))
			return NULL;
		if (!mp_next(&at, &key) || key.type != MP_TEXT || key.len != 2 || memcmp(key.text, "id", 2) != 0) {
			if (!mp_skip(&cursor))
				return NULL;
			continue;
		}
		if (!mp_next(&cursor, &value) || value.type != MP_TEXT || !job_id_valid(value.text, value.len))
			return NULL;
		return xmemdup0(value.text, value.len);
	}
	return NULL;
}

static char *find_id_json(const char *body, size_t len)
{
	struct buf packed = BUF_INIT;
	struct err err;
	char *id = NULL;

	if (len <= GUESS_MAX && json_to_msgpack(body, len, GUESS_DEPTH, &packed, &err) == 0)
		id = find_id(packed.data, packed.len);
	buf_release(&packed);
	return id;
}

char *job_guess_id(const struct job_message *message)
{
	const char *message_id = message->message_id;
	char *id = NULL;

	if (message->body_len)
		id = find_id(message->body, message->body_len);
	if (!id)
		id = find_id_json(message->body, message->body_len);
	if (!id && message_id && job_id_valid(message_id, strlen(message_id)))
		id = xstrdup(message_id);
	return id;
}
