/* The first look: every key of the fleet once, then every entry of the indices, then what was gathered meanwhile. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "doctor/doctor.h"

#define SCAN_COUNT 1000
#define BATCH 500

static void tell(struct doctor *doctor, const char *what, int64_t done, int64_t total)
{
	if (doctor->options->progress)
		doctor->options->progress(doctor->options->data, what, done, total);
}

/* --- jobs --- */

static void gather(struct doctor *doctor, const struct view *view, struct findings *into)
{
	CLEANUP(buf_release) struct buf sign = BUF_INIT;
	struct queued *queued;

	if (doctor->survey && view->state >= 0)
		doctor->jobs++;
	if (doctor->survey && view->ended)
		doctor->ended[view->state]++;
	if (view->state != JOB_QUEUED)
		return;
	queued = queued_of(doctor, view_text(view, VIEW_POOL), view_text(view, VIEW_PRIORITY));
	queued->jobs += doctor->survey;
	if (view_listed(view, IN_OUTBOX) >= 0 || view_listed(view, IN_SCHEDULED) >= 0)
		return;
	/* a message should bring it, or a worker hold it: whether there is one, check_queue.c knows */
	buf_addf(&sign, "%s/%s %s", view->sign, view_text(view, VIEW_QUEUED_AT), queued->key);
	found(into, KIND_NO_MESSAGE, view->id, sign.data,
	      "it is queued in %s, no invitation is owed, and there is no message that could bring it to a worker",
	      queued->key);
}

static int look_batch(struct doctor *doctor, const char *const *ids, size_t count, struct findings *into,
		      struct err *err)
{
	CLEANUP(freep) struct view *views = xcalloc(count + 1, sizeof *views);
	int r = views_read(doctor, ids, count, views, err);

	for (size_t i = 0; i < count && r == 0; i++) {
		check_record(&views[i], into);
		check_indices(&views[i], into);
		gather(doctor, &views[i], into);
	}
	if (r == 0)
		r = check_waiting(doctor, views, count, into, err);
	if (r == 0)
		r = check_placeholders(doctor, views, count, into, err);
	if (r == 0)
		r = check_keys_held(doctor, views, count, into, err);
	for (size_t i = 0; i < count; i++)
		view_release(&views[i]);
	return r;
}

int look_jobs(struct doctor *doctor, const struct ids *ids, struct findings *into, struct err *err)
{
	int r = 0;

	for (size_t from = 0; from < ids->count && r == 0; from += BATCH) {
		size_t count = ids->count - from < BATCH ? ids->count - from : BATCH;
		r = look_batch(doctor, (const char *const *)ids->at + from, count, into, err);
	}
	return r;
}

/* --- keys --- */

struct page {
	struct ids jobs, dedup, runs;
};

/* Runs are looked at when all jobs have been: their names are kept until then. */
static void sort_key(struct doctor *doctor, const char *name, struct page *page, struct ids *runs)
{
	CLEANUP(freep) char *of = NULL;
	const char *at;
	size_t len;
	int key = store_key_split(store_prefix(doctor->session->store), name, &at, &len);

	if (key < 0)
		return;
	doctor->keys++;
	of = xmemdup0(at, len);
	if (key <= KEY_ASKED) {
		if (job_id_valid(of, len) && seen_add(&doctor->seen, of))
			ids_add(&page->jobs, of);
	} else if (key == KEY_DEDUP || key == KEY_TENURE) {
		ids_add(&page->dedup, of);
	} else if ((key == KEY_RUN || key == KEY_RUN_JOBS) && job_id_valid(of, len)) {
		ids_add(runs, of);
	}
}

static int scan_keys(struct doctor *doctor, struct ids *runs, struct findings *into, struct err *err)
{
	CLEANUP(freep) char *cursor = xstrdup("0");
	CLEANUP(store_reply_freep) struct store_reply *size = doctor_one(doctor, err, "DBSIZE");
	int64_t looked = 0;
	int r = size ? 0 : err->code;

	while (r == 0) {
		struct page page = {0};
		CLEANUP(store_reply_freep)
		struct store_reply *reply = doctor_one(doctor, err, "SCAN %s MATCH %s:* COUNT %d", cursor,
						       store_prefix(doctor->session->store), (int64_t)SCAN_COUNT);
		const struct store_reply *names = store_reply_at(reply, 1);
		if (!reply)
			return err->code;
		for (size_t i = 0; i < store_reply_count(names); i++)
			sort_key(doctor, store_text_at(names, i), &page, runs);
		r = look_jobs(doctor, &page.jobs, into, err);
		if (r == 0)
			r = look_dedup(doctor, &page.dedup, into, err);
		ids_release(&page.jobs);
		ids_release(&page.dedup);
		looked += SCAN_COUNT;
		tell(doctor, "keys", looked, store_reply_int(size));
		free(cursor);
		cursor = xstrdup(store_text_at(reply, 0));
		if (strcmp(cursor, "0") == 0)
			break;
	}
	return r;
}

/* --- indices: what they list that no key has shown --- */

static int scan_index(struct doctor *doctor, enum store_key index, struct findings *into, struct err *err)
{
	CLEANUP(freep) char *cursor = xstrdup("0");
	int r = 0;

	do {
		CLEANUP(ids_release) struct ids ids = {0};
		CLEANUP(store_reply_freep)
		struct store_reply *reply =
			doctor_one(doctor, err, "ZSCAN %k %s COUNT %d", index, "", cursor, (int64_t)SCAN_COUNT);
		const struct store_reply *entries = store_reply_at(reply, 1);
		if (!reply)
			return err->code;
		for (size_t i = 0; i + 1 < store_reply_count(entries); i += 2)
			if (seen_add(&doctor->seen, store_text_at(entries, i)))
				ids_add(&ids, store_text_at(entries, i));
		r = look_jobs(doctor, &ids, into, err);
		free(cursor);
		cursor = xstrdup(store_text_at(reply, 0));
	} while (r == 0 && strcmp(cursor, "0") != 0);
	return r;
}

static int scan_indices(struct doctor *doctor, struct findings *into, struct err *err)
{
	static const enum store_key indices[] = {KEY_LEASES, KEY_SCHEDULED, KEY_EXPIRING,
						 KEY_OUTBOX, KEY_SETTLING,  KEY_REPLIES};
	int r = 0;

	for (size_t i = 0; i < sizeof indices / sizeof *indices && r == 0; i++)
		r = scan_index(doctor, indices[i], into, err);
	return r;
}

/* --- cycles --- */

struct cycle_look {
	struct doctor *doctor;
	struct findings *into;
	struct err *err;
	int r;
};

/* The edges were read at different instants: they all have to be there still. */
static bool stands(struct cycle_look *look, const char *const *ids, size_t count)
{
	CLEANUP(freep) struct store_reply **entries = xcalloc(count + 1, sizeof(struct store_reply *));
	bool all = true;

	for (size_t i = 0; i < count; i++)
		doctor_ask(look->doctor, &entries[i], "HEXISTS %k %s", KEY_WAITING, ids[i], ids[(i + 1) % count]);
	look->r = doctor_wait(look->doctor, look->err);
	for (size_t i = 0; i < count; i++) {
		all = all && store_reply_int(entries[i]) == 1;
		store_reply_free(entries[i]);
	}
	return look->r == 0 && all;
}

static void on_cycle(void *data, const char *const *ids, size_t count)
{
	struct cycle_look *look = data;
	CLEANUP(buf_release) struct buf text = BUF_INIT;

	if (look->r < 0 || !stands(look, ids, count))
		return;
	for (size_t i = 0; i < count; i++)
		buf_addf(&text, "%s waits for %s%s", i ? "" : ids[0], ids[(i + 1) % count],
			 i + 1 < count ? ", which" : "");
	found(look->into, KIND_CYCLE, ids[0], "", "none of these will ever run: %s", text.data);
}

int survey_all(struct doctor *doctor, struct findings *into, struct err *err)
{
	CLEANUP(ids_release) struct ids runs = {0};
	struct cycle_look cycles = {.doctor = doctor, .into = into, .err = err};
	int r = scan_keys(doctor, &runs, into, err);

	if (r == 0)
		r = scan_indices(doctor, into, err);
	if (r == 0)
		r = look_runs(doctor, &runs, into, err);
	if (r == 0) {
		cycles_find(&doctor->cycles, on_cycle, &cycles);
		cycles_release(&doctor->cycles);
		r = cycles.r;
	}
	if (r == 0)
		r = look_redis(doctor, into, err);
	if (r == 0)
		r = look_fleet(doctor, into, err);
	if (r == 0)
		r = look_queues(doctor, into, err);
	if (r == 0 && doctor->options->messages > 0)
		r = look_messages(doctor, false, into, err);
	return r;
}
