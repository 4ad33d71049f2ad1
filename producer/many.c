/* Many jobs at once: their ids, and their records in pipelined reads. */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "session.h"

#define WINDOW 1000
#define SCAN_COUNT 2000

void ids_add(struct ids *ids, const char *id)
{
	if (ids->count == ids->room) {
		ids->room = ids->room ? 2 * ids->room : 16;
		ids->at = xrealloc(ids->at, ids->room * sizeof *ids->at);
	}
	ids->at[ids->count++] = xstrdup(id);
}

void ids_release(struct ids *ids)
{
	for (size_t i = 0; i < ids->count; i++)
		free(ids->at[i]);
	free(ids->at);
	*ids = (struct ids){0};
}

static int compare_texts(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

int session_ids_of_run(struct session *session, const char *run, struct ids *ret, struct err *err)
{
	CLEANUP(store_reply_freep) struct store_reply *reply = NULL;

	/* a run's keys are named by the run */
	reply = store_sync(session->store, SESSION_ANSWER_MS, err, "SMEMBERS %k", KEY_RUN_JOBS, run);
	if (!reply)
		return err->code;
	for (size_t i = 0; i < store_reply_count(reply); i++)
		ids_add(ret, store_text_at(reply, i));
	if (ret->count)
		qsort(ret->at, ret->count, sizeof *ret->at, compare_texts);
	return 0;
}

/* SCAN may name a key twice, and the other keys of a job look alike but for what is behind the id. */
static void take_keys(const struct store_reply *keys, size_t before, struct ids *ret)
{
	for (size_t i = 0; i < store_reply_count(keys); i++) {
		const char *key = store_text_at(keys, i);
		if (strlen(key) > before && !strchr(key + before, ':'))
			ids_add(ret, key + before);
	}
}

static void drop_doubles(struct ids *ids)
{
	size_t kept = 0;

	if (ids->count)
		qsort(ids->at, ids->count, sizeof *ids->at, compare_texts);
	for (size_t i = 0; i < ids->count; i++)
		if (kept && strcmp(ids->at[i], ids->at[kept - 1]) == 0)
			free(ids->at[i]);
		else
			ids->at[kept++] = ids->at[i];
	ids->count = kept;
}

int session_ids_of_fleet(struct session *session, struct ids *ret, struct err *err)
{
	CLEANUP(buf_release) struct buf before = BUF_INIT;
	CLEANUP(freep) char *cursor = xstrdup("0");

	store_key(&before, store_prefix(session->store), KEY_JOB, "", NULL);
	do {
		CLEANUP(store_reply_freep)
		struct store_reply *reply =
			store_sync(session->store, SESSION_ANSWER_MS, err, "SCAN %s MATCH %k COUNT %d TYPE hash",
				   cursor, KEY_JOB, "*", (int64_t)SCAN_COUNT);
		if (!reply)
			return err->code;
		if (store_reply_error(reply))
			return err_set(err, ERR_INPUT, "Redis says: %s", store_reply_error(reply));
		take_keys(store_reply_at(reply, 1), before.len, ret);
		free(cursor);
		cursor = xstrdup(store_text_at(reply, 0));
	} while (strcmp(cursor, "0") != 0);
	drop_doubles(ret);
	return 0;
}

struct each;
struct slot {
	struct each *each;
	size_t index;
};

struct each {
	struct session *session;
	const char *command;
	enum store_key key;
	const char *const *ids;
	size_t count, sent, answered;
	session_seen *seen;
	void *data;
	struct slot *slots;
};

static void on_answer(void *data, const struct store_reply *reply)
{
	struct slot *slot = data;
	struct each *each = slot->each;

	each->answered++;
	each->seen(each->data, slot->index, reply);
}

static bool each_done(void *data)
{
	struct each *each = data;

	for (; each->sent < each->count && each->sent - each->answered < WINDOW; each->sent++) {
		struct slot *slot = &each->slots[each->sent];
		*slot = (struct slot){each, each->sent};
		store_format(each->session->store, on_answer, slot, "%s %k", each->command, each->key,
			     each->ids[each->sent]);
	}
	return each->answered == each->count;
}

int session_each(struct session *session, const char *command, enum store_key key, const char *const *ids, size_t count,
		 session_seen *seen, void *data, struct err *err)
{
	CLEANUP(freep) struct slot *slots = xcalloc(count + 1, sizeof *slots);
	struct each each = {session, command, key, ids, count, 0, 0, seen, data, slots};

	return session_run(session, each_done, &each, -1, err);
}
