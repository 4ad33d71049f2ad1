/* Who published a job, as the broker vouches. It travels in the spec, as a field that no message may bring: so whoever
 * reads the spec later, to run the job or to finish its registration, has it without asking anybody; a version that
 * does not know the field ignores it, as any that begins with x-. */
#include <string.h>

#include "base/cleanup.h"
#include "base/utf8.h"
#include "job/decode.h"

#define USER_MAX 255
#define DEDUP_ROOM 32 /* what is put before a key beside the user */

static int add_bytes(void *data, const char *bytes, size_t len)
{
	buf_add(data, bytes, len);
	return 0;
}

int job_add_user(struct decode *decode, struct buf *owned)
{
	const char *user = decode->message->user;
	struct mp_cursor cursor = {decode->body, decode->body, decode->body + decode->body_len};
	struct mp_value map;
	msgpack_packer packer;

	if (!user)
		return 0;
	if (strlen(user) > USER_MAX || !utf8_valid(user, strlen(user)))
		return err_set(decode->err, ERR_INPUT, "user_id: longer than %d bytes, or not UTF-8", USER_MAX);
	mp_next(&cursor, &map);
	if (map.type != MP_MAP)
		return 0;
	msgpack_packer_init(&packer, owned, add_bytes);
	msgpack_pack_map(&packer, map.count + 1);
	buf_add(owned, cursor.at, (size_t)(cursor.end - cursor.at));
	msgpack_pack_str_with_body(&packer, JOB_USER_FIELD, strlen(JOB_USER_FIELD));
	msgpack_pack_str_with_body(&packer, user, strlen(user));
	decode->body = owned->data;
	decode->body_len = owned->len;
	return 0;
}

/* Of a message one such field is ours, and only where there is a user. */
int job_find_user(struct decode *decode, const struct mp_value *key, const struct found *found)
{
	struct mp_cursor cursor = {found->start, found->start, found->end};
	size_t ours = decode->stored || decode->message->user ? 1 : 0;
	struct mp_value value;

	if (key->len != strlen(JOB_USER_FIELD) || memcmp(key->text, JOB_USER_FIELD, key->len) != 0)
		return 0;
	mp_next(&cursor, &value);
	decode->user = value.type == MP_TEXT ? value.text : NULL;
	decode->user_len = value.type == MP_TEXT ? value.len : 0;
	if (++decode->user_fields > ours)
		return err_set(decode->err, ERR_INPUT,
			       "field `" JOB_USER_FIELD "`: the fleet's own; who publishes is named by the property "
			       "user_id");
	return 0;
}

size_t job_user_room(const struct decode *decode) { return 2 * decode->user_len + 1 + DEDUP_ROOM + JOB_DEDUP_MAX; }

/* A key without a user is as the client wrote it, unless it looks as if it were a user's. */
void job_scope_dedup(struct decode *decode)
{
	struct job *job = &decode->job;
	const char *user = job->user ? job->user : "";
	CLEANUP(buf_release) struct buf key = BUF_INIT;

	if (!job->dedup || (!job->user && strncmp(job->dedup, "@@", 2) != 0))
		return;
	buf_addf(&key, "@@%zu:%s:%s", strlen(user), user, job->dedup);
	job->dedup = job_keep_text(decode, key.data, key.len);
}
