/* The run's hash counts its jobs by state; events say when to look at it. */
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "record.h"
#include "run.h"
#include "unserved.h"

/* At most so often. */
#define LOOK_MS 200

struct following {
	struct run *run;
	struct progress *progress;
	struct run_counts counts;
	size_t name_len;
	int64_t last_ms;
	bool changed, asking, looked;
};

int64_t run_ended(const struct run_counts *counts)
{
	int64_t ended = 0;

	for (int i = 0; i < JOB_STATE_COUNT; i++)
		if (job_state_ended((enum job_state)i))
			ended += counts->in[i];
	return ended;
}

static void take_counts(const struct store_reply *hash, struct run_counts *ret)
{
	ret->jobs = record_int(hash, "jobs", 0);
	for (int i = 0; i < JOB_STATE_COUNT; i++)
		ret->in[i] = record_int(hash, job_state_name((enum job_state)i), 0);
}

int run_counts_read(struct session *session, const char *name, struct run_counts *ret, struct err *err)
{
	CLEANUP(store_reply_freep) struct store_reply *hash = session_ask(session, "HGETALL", KEY_RUN, name, err);

	if (!hash)
		return err->code;
	take_counts(hash, ret);
	return 0;
}

static void on_counts(void *data, const struct store_reply *hash)
{
	struct following *following = data;

	following->asking = false;
	following->looked = true;
	take_counts(hash, &following->counts);
	if (following->progress)
		progress_counts(following->progress, &following->counts);
}

/* Jobs of the run that others submitted to it by hand may have any id; the looks in between find them. */
static void on_event(void *data, const char *text)
{
	struct following *following = data;

	if (!text ||
	    (strncmp(text, following->run->name, following->name_len) == 0 && text[following->name_len] == '/'))
		following->changed = true;
}

static bool is_over(void *data)
{
	struct following *following = data;
	const struct run_counts *counts = &following->counts;
	int64_t now = clock_mono_ms();

	if (following->looked && counts->jobs >= (int64_t)following->run->workflow->count &&
	    run_ended(counts) >= counts->jobs)
		return true;
	if (following->changed && !following->asking && now - following->last_ms >= LOOK_MS) {
		following->changed = false;
		following->asking = true;
		following->last_ms = now;
		store_format(following->run->session->store, on_counts, following, "HGETALL %k", KEY_RUN,
			     following->run->name);
	}
	return false;
}

static bool is_quiet(void *data) { return !((struct following *)data)->asking; }

/* What it prints stands on a line of its own: the bar is drawn again below. */
static int its_jobs(void *data, struct ids *ret, struct err *err)
{
	struct following *following = data;

	if (following->progress)
		progress_break(following->progress);
	return session_ids_of_run(following->run->session, following->run->name, ret, err);
}

int run_follow(struct run *run, struct progress *progress, struct run_counts *ret, struct err *err)
{
	struct following following = {.run = run, .progress = progress, .name_len = strlen(run->name), .changed = true};
	struct store_listener *listener = store_listen(run->session->store, NULL, on_event, &following);
	int r;

	run->session->patience_ms = SESSION_FOLLOW_MS;
	r = unserved_run(run->session, is_over, -1, "run", its_jobs, &following, err);
	store_unlisten(listener);
	if (r == 0)
		r = session_run(run->session, is_quiet, &following, -1, err);
	*ret = following.counts;
	return r;
}
