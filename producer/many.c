/* Many jobs at once: their ids, and their records in pipelined reads. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "session.h"

#define WINDOW 1000
#define SCAN_COUNT 500
#define SCAN_ENTRIES 500

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

int session_scan(struct session *session, const char *command, enum store_key key, const char *id, session_batch *seen,
		 void *data, struct err *err)
{
	struct store_cursor cursor;
	bool more;

	store_cursor_begin(session->store, &cursor);
	do {
		CLEANUP(store_reply_freep)
		struct store_reply *reply = store_sync(session->store, SESSION_ANSWER_MS, err, "%s %k %s COUNT %d",
						       command, key, id, cursor.at, (int64_t)SCAN_ENTRIES);
		if (!reply)
			return err->code;
		if (store_reply_error(reply))
			return err_set(err, ERR_INPUT, "Redis says: %s", store_reply_error(reply));
		more = store_cursor_move(session->store, &cursor, store_text_at(reply, 0));
		if (!seen(data, store_reply_at(reply, 1)))
			break;
	} while (more);
	return 0;
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

static bool add_batch(void *data, const struct store_reply *batch)
{
	for (size_t i = 0; i < store_reply_count(batch); i++)
		ids_add(data, store_text_at(batch, i));
	return true;
}

int session_ids_of_run(struct session *session, const char *run, struct ids *ret, struct err *err)
{
	/* a run's keys are named by the run */
	int r = session_scan(session, "SSCAN", KEY_RUN_JOBS, run, add_batch, ret, err);

	drop_doubles(ret);
	return r;
}

/* The other keys of a job look alike but for what is behind the id. */
static void take_keys(const struct store_reply *keys, size_t before, struct ids *ret)
{
	for (size_t i = 0; i < store_reply_count(keys); i++) {
		const char *key = store_text_at(keys, i);
		if (strlen(key) > before && !strchr(key + before, ':'))
			ids_add(ret, key + before);
	}
}

int session_ids_of_fleet(struct session *session, int (*seen)(void *data, const struct ids *batch, struct err *err),
			 void *data, struct err *err)
{
	CLEANUP(buf_release) struct buf before = BUF_INIT;
	struct store_cursor cursor;
	bool more;
	int r = 0;

	store_cursor_begin(session->store, &cursor);
	store_key(&before, store_prefix(session->store), KEY_JOB, "", NULL);
	do {
		CLEANUP(ids_release) struct ids batch = {0};
		CLEANUP(store_reply_freep)
		struct store_reply *reply =
			store_sync(session->store, SESSION_ANSWER_MS, err, "SCAN %s MATCH %k COUNT %d TYPE hash",
				   cursor.at, KEY_JOB, "*", (int64_t)SCAN_COUNT);
		if (!reply)
			return err->code;
		if (store_reply_error(reply))
			return err_set(err, ERR_INPUT, "Redis says: %s", store_reply_error(reply));
		more = store_cursor_move(session->store, &cursor, store_text_at(reply, 0));
		take_keys(store_reply_at(reply, 1), before.len, &batch);
		r = seen(data, &batch, err);
	} while (r == 0 && more);
	return r;
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
