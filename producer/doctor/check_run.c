/* The counters of a run against its jobs.
 *
 * A job that has ended may be kept no more, so its state cannot be counted; but then: those that live are all there, no
 * end is counted less often than there are jobs that ended so, the states add up to `jobs`, and `jobs` is not less than
 * the set has members (more where an id was used again). A run that moves while it is counted is left alone. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "doctor/doctor.h"
#include "record.h"
#include "run.h"

#define SCAN_COUNT 500
#define TRIES 3

struct count {
	int64_t in[JOB_STATE_COUNT];
	int64_t members, gone;
};

/* --- counting --- */

static int count_page(struct doctor *doctor, const char *run, const struct ids *page, struct count *count,
		      struct findings *into, struct err *err)
{
	CLEANUP(freep) struct store_reply **records = xcalloc(page->count + 1, sizeof(struct store_reply *));
	int r;

	for (size_t i = 0; i < page->count; i++)
		doctor_ask(doctor, &records[i], "HMGET %k state run", KEY_JOB, page->at[i]);
	r = doctor_wait(doctor, err);
	for (size_t i = 0; i < page->count; i++) {
		const char *state = store_text_at(records[i], 0);
		int known = job_state_parse(state, strlen(state));
		if (r == 0 && known >= 0 && strcmp(store_text_at(records[i], 1), run) != 0) {
			found(into, KIND_RUN_MEMBER, run, page->at[i], "its set has %s, which is of %s%s", page->at[i],
			      *store_text_at(records[i], 1) ? "the run " : "no run", store_text_at(records[i], 1));
			count->gone++;
		} else if (known >= 0) {
			count->in[known]++;
		} else {
			count->gone++;
		}
		store_reply_free(records[i]);
	}
	count->members += (int64_t)page->count;
	return r;
}

static int count_members(struct doctor *doctor, const char *run, struct count *count, struct findings *into,
			 struct err *err)
{
	CLEANUP(seen_release) struct seen seen = {0};
	CLEANUP(freep) char *cursor = xstrdup("0");
	int r = 0;

	do {
		CLEANUP(ids_release) struct ids page = {0};
		CLEANUP(store_reply_freep)
		struct store_reply *reply =
			doctor_one(doctor, err, "SSCAN %k %s COUNT %d", KEY_RUN_JOBS, run, cursor, (int64_t)SCAN_COUNT);
		const struct store_reply *ids = store_reply_at(reply, 1);
		if (!reply)
			return err->code;
		for (size_t i = 0; i < store_reply_count(ids); i++)
			if (seen_add(&seen, store_text_at(ids, i)))
				ids_add(&page, store_text_at(ids, i));
		r = count_page(doctor, run, &page, count, into, err);
		free(cursor);
		cursor = xstrdup(store_text_at(reply, 0));
	} while (r == 0 && strcmp(cursor, "0") != 0);
	return r;
}

/* --- judging --- */

static void correct(const struct run_counts *is, const struct count *count, struct run_counts *ret)
{
	ret->jobs = 0;
	for (int i = 0; i < JOB_STATE_COUNT; i++) {
		bool known = !job_state_ended((enum job_state)i) || count->gone == 0 || is->in[i] < count->in[i];
		ret->in[i] = known ? count->in[i] : is->in[i];
		ret->jobs += ret->in[i];
	}
}

static bool adds_up(const struct run_counts *is, const struct count *count)
{
	int64_t sum = 0;

	for (int i = 0; i < JOB_STATE_COUNT; i++) {
		sum += is->in[i];
		if (is->in[i] < count->in[i] || (!job_state_ended((enum job_state)i) && is->in[i] != count->in[i]))
			return false;
	}
	return sum == is->jobs && is->jobs >= count->members;
}

/* `field seen right`, for recount.lua, and in words. */
static void difference(const char *field, int64_t is, int64_t right, struct buf *sign, struct buf *words)
{
	if (is == right)
		return;
	buf_addf(sign, "%s%s %" PRId64 " %" PRId64, sign->len ? " " : "", field, is, right);
	buf_addf(words, "%s%s is %" PRId64 " and should be %" PRId64, words->len ? ", " : "", field, is, right);
}

static void judge(const char *run, const struct run_counts *is, const struct count *count, struct findings *into)
{
	CLEANUP(buf_release) struct buf sign = BUF_INIT, words = BUF_INIT;
	struct run_counts right = {0};

	if (adds_up(is, count))
		return;
	correct(is, count, &right);
	difference("jobs", is->jobs, right.jobs, &sign, &words);
	for (int i = 0; i < JOB_STATE_COUNT; i++)
		difference(job_state_name((enum job_state)i), is->in[i], right.in[i], &sign, &words);
	if (sign.len)
		found(into, KIND_RUN_COUNTERS, run, sign.data, "its counters are not what its jobs are: %s",
		      words.data);
	else
		found(into, KIND_RUN_COUNTERS, run, "",
		      "its set has %" PRId64 " members and its counters are of %" PRId64
		      "; how those ended that are kept no more cannot be known any more",
		      count->members, is->jobs);
}

static int look_run(struct doctor *doctor, const char *run, struct findings *into, struct err *err)
{
	for (int i = 0; i < TRIES; i++) {
		struct run_counts before = {0}, after = {0};
		struct count count = {0};
		int r = run_counts_read(doctor->session, run, &before, err);
		if (r == 0)
			r = count_members(doctor, run, &count, into, err);
		if (r == 0)
			r = run_counts_read(doctor->session, run, &after, err);
		if (r < 0)
			return r == ERR_NOT_FOUND ? 0 : r;
		if (memcmp(&before, &after, sizeof before) == 0) {
			judge(run, &after, &count, into);
			break;
		}
	}
	return 0;
}

int look_runs(struct doctor *doctor, const struct ids *runs, struct findings *into, struct err *err)
{
	CLEANUP(seen_release) struct seen seen = {0};
	int r = 0;

	for (size_t i = 0; i < runs->count && r == 0; i++)
		if (seen_add(&seen, runs->at[i])) {
			doctor->runs += doctor->survey;
			r = look_run(doctor, runs->at[i], into, err);
		}
	return r;
}
