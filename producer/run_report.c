#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/duration.h"
#include "out.h"
#include "record.h"
#include "run.h"

#define LISTED 10

struct bad {
	const char *id;
	bool failed;
	int64_t ended_at;
	struct store_reply *record;
};

struct badness {
	const struct ids *ids;
	struct bad jobs[LISTED]; /* the first of them */
	size_t count, kept;
};

static bool is_bad(int state) { return state == JOB_FAILED || state == JOB_CANCELLED || state == JOB_EXPIRED; }

/* Failed ones first: what was cancelled or expired is seldom the cause. */
static int first_to_end(const void *a, const void *b)
{
	const struct bad *x = a, *y = b;

	if (x->failed != y->failed)
		return x->failed ? -1 : 1;
	return x->ended_at == y->ended_at ? strcmp(x->id, y->id) : x->ended_at < y->ended_at ? -1 : 1;
}

static void on_record(void *data, size_t index, const struct store_reply *record)
{
	struct badness *badness = data;
	struct bad bad = {badness->ids->at[index], record_state(record) == JOB_FAILED,
			  record_int(record, "ended_at", 0), NULL};

	if (!is_bad(record_state(record)))
		return;
	badness->count++;
	if (badness->kept == LISTED) {
		if (first_to_end(&bad, &badness->jobs[LISTED - 1]) > 0)
			return;
		store_reply_free(badness->jobs[--badness->kept].record);
	}
	bad.record = store_reply_copy(record);
	badness->jobs[badness->kept++] = bad;
	qsort(badness->jobs, badness->kept, sizeof bad, first_to_end);
}

static void print_bad(const struct run *run, const struct badness *badness)
{
	bool fancy = out_fancy(stdout);

	for (size_t i = 0; i < badness->kept; i++) {
		const struct store_reply *record = badness->jobs[i].record;
		const char *state = record_text(record, "state"), *error = record_text(record, "error");
		CLEANUP(buf_release) struct buf clean = BUF_INIT;
		out_clean(&clean, error, strnlen(error, 160), true);
		printf("  %s%s%s %s  %s%s%s\n", out_state_color(state, fancy), state, out_plain(fancy),
		       badness->jobs[i].id, record_text(record, "reason"), clean.len ? ": " : "",
		       clean.len ? clean.data : "");
	}
	if (badness->count > LISTED)
		printf("  and %zu more: flotilla ls --run %s\n", badness->count - LISTED, run->name);
	if (badness->count)
		printf("flotilla why %s says more\n", badness->jobs[0].id);
}

static void print_people(const struct run *run, const struct run_counts *counts, const struct badness *badness)
{
	char elapsed[DURATION_TEXT];
	const char *comma = "";

	duration_format(clock_mono_ms() - run->began_ms, elapsed);
	printf("%s: ", run->name);
	for (int i = 0; i < JOB_STATE_COUNT; i++)
		if (counts->in[i] > 0) {
			printf("%s%" PRId64 " %s", comma, counts->in[i], job_state_name((enum job_state)i));
			comma = ", ";
		}
	printf("%s of %" PRId64 " jobs in %s\n", *comma ? "" : "nothing", counts->jobs, elapsed);
	print_bad(run, badness);
}

static void print_json(const struct run *run, const struct run_counts *counts, const struct badness *badness)
{
	json_t *doc = json_object(), *list = json_array();

	json_object_set_new(doc, "run", json_string(run->name));
	json_object_set_new(doc, "name", json_string(run->workflow->name));
	json_object_set_new(doc, "file", json_string(run->workflow->digest));
	json_object_set_new(doc, "jobs", json_integer(counts->jobs));
	for (int i = 0; i < JOB_STATE_COUNT; i++)
		json_object_set_new(doc, job_state_name((enum job_state)i), json_integer(counts->in[i]));
	json_object_set_new(doc, "elapsed_ms", json_integer(clock_mono_ms() - run->began_ms));
	for (size_t i = 0; i < badness->kept; i++)
		json_array_append_new(list, record_json(badness->jobs[i].id, badness->jobs[i].record, NULL));
	json_object_set_new(doc, "not_succeeded", list);
	out_json(doc, stdout);
}

static int find_bad(struct run *run, struct ids *ids, struct badness *badness, struct err *err)
{
	int r = session_ids_of_run(run->session, run->name, ids, err);

	if (r == 0)
		r = session_each(run->session, "HGETALL", KEY_JOB, (const char *const *)ids->at, ids->count, on_record,
				 badness, err);
	return r;
}

int run_report(struct run *run, const struct run_counts *counts, bool json, struct err *err)
{
	CLEANUP(ids_release) struct ids ids = {0};
	struct badness badness = {.ids = &ids};
	bool bad = counts->in[JOB_FAILED] + counts->in[JOB_CANCELLED] + counts->in[JOB_EXPIRED] > 0;
	int r = bad ? find_bad(run, &ids, &badness, err) : 0;

	if (r == 0 && json)
		print_json(run, counts, &badness);
	else if (r == 0)
		print_people(run, counts, &badness);
	for (size_t i = 0; i < badness.kept; i++)
		store_reply_free(badness.jobs[i].record);
	return r < 0 ? r : bad ? EXIT_NOT_SUCCEEDED : EXIT_OK;
}
