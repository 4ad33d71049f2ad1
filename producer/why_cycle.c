/* Cycles: all that the job waits for, directly or not, is read, a level at a time. */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "cycle.h"
#include "why.h"

#define WALK_MAX 5000
#define NAMED 50

struct reading {
	struct cycles *cycles;
	const char *id;
};

static bool on_batch(void *data, const struct store_reply *batch)
{
	struct reading *reading = data;

	for (size_t i = 0; i + 1 < store_reply_count(batch) && reading->cycles->count < WALK_MAX; i += 2)
		if (strcmp(store_text_at(batch, i), "~") != 0)
			cycles_add(reading->cycles, reading->id, store_text_at(batch, i));
	return reading->cycles->count < WALK_MAX;
}

/* A job that was skipped keeps what was not met: only one that waits has predecessors here. */
static int read_preds(const struct why *why, struct cycles *cycles, const char *id, struct err *err)
{
	CLEANUP(store_reply_freep) struct store_reply *state = NULL;
	struct reading reading = {cycles, id};

	state = store_sync(why->session->store, SESSION_ANSWER_MS, err, "HGET %k state", KEY_JOB, id);
	if (!state)
		return err->code;
	if (strcmp(store_reply_text(state, NULL), "waiting") != 0)
		return 0;
	return session_scan(why->session, "HSCAN", KEY_WAITING, id, on_batch, &reading, err);
}

static void say_cycle(void *data, const char *const *ids, size_t count)
{
	CLEANUP(buf_release) struct buf text = BUF_INIT;

	(void)data;
	buf_adds(&text, ids[0]);
	for (size_t i = 1; i < count && i < NAMED; i++)
		buf_addf(&text, "%s waits for %s", i == 1 ? "" : ", which", ids[i]);
	buf_addf(&text, "%s waits for %s", count == 1 ? "" : ", which", ids[0]);
	why_say("these wait for one another, so none of them will ever run: %s", text.data);
	why_say("cancel one of them: flotilla cancel %s", ids[0]);
}

int why_cycle(const struct why *why, struct err *err)
{
	CLEANUP(cycles_release) struct cycles cycles = {0};
	int r = read_preds(why, &cycles, why->id, err);

	/* number 0 is the job itself; the others are read as they are found */
	for (size_t i = 1; i < cycles.count && r == 0; i++) {
		CLEANUP(freep) char *id = xstrdup(cycles.names.data + cycles.at[i]);
		r = read_preds(why, &cycles, id, err);
	}
	if (r == 0)
		cycles_find(&cycles, say_cycle, NULL);
	return r;
}
