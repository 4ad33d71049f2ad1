#include "follow.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "out.h"
#include "record.h"
#include "unserved.h"

static bool has_ended(const struct followed *job)
{
	return job->looked && job->state >= 0 && job_state_ended((enum job_state)job->state);
}

/* One that has ended stays so here, even if somebody retries it. */
static void note(struct followed *job, int state)
{
	struct follow *follow = job->follow;

	if (has_ended(job))
		return;
	if (job->looked && job->state < 0)
		follow->unknown--;
	else if (!job->looked)
		follow->looked++;
	job->looked = true;
	job->state = state;
	if (state < 0)
		follow->unknown++;
	if (!has_ended(job))
		return;
	follow->ended++;
	if (follow->on_end)
		follow->on_end(follow->data, job);
}

static void on_state(void *data, const struct store_reply *reply)
{
	struct followed *job = data;
	const char *state = store_reply_text(reply, NULL);

	job->asking = false;
	note(job, job_state_parse(state, strlen(state)));
}

static void look(struct follow *follow)
{
	struct followed *job, *next;

	HASH_ITER(hh, follow->jobs, job, next)
	{
		if (has_ended(job) || job->asking)
			continue;
		job->asking = true;
		store_format(follow->session->store, on_state, job, "HGET %k state", KEY_JOB, job->id);
	}
}

/* "ID STATE ATTEMPT TIME" */
static void on_event(void *data, const char *text)
{
	struct follow *follow = data;
	struct followed *job;
	size_t len, word;
	int state;

	if (!text) {
		look(follow);
		return;
	}
	len = strcspn(text, " ");
	HASH_FIND(hh, follow->jobs, text, len, job);
	if (!job || !text[len])
		return;
	word = strcspn(text + len + 1, " ");
	state = job_state_parse(text + len + 1, word);
	if (state >= 0)
		note(job, state);
}

void follow_init(struct follow *follow, struct session *session, const char *const *ids, size_t count)
{
	*follow = (struct follow){.session = session};
	session->patience_ms = SESSION_FOLLOW_MS;
	for (size_t i = 0; i < count; i++) {
		struct followed *job;
		HASH_FIND_STR(follow->jobs, ids[i], job);
		if (job)
			continue;
		job = xcalloc(1, sizeof *job);
		job->follow = follow;
		job->id = ids[i];
		job->state = -1;
		HASH_ADD_KEYPTR(hh, follow->jobs, job->id, strlen(job->id), job);
		follow->count++;
	}
}

void follow_release(struct follow *follow)
{
	struct followed *job, *next;

	store_unlisten(follow->listener);
	HASH_ITER(hh, follow->jobs, job, next)
	{
		HASH_DEL(follow->jobs, job);
		free(job);
	}
	*follow = (struct follow){0};
}

struct waiting {
	struct follow *follow;
	const struct follow_until *until;
};

static bool is_over(void *data)
{
	const struct waiting *waiting = data;
	const struct follow *follow = waiting->follow;

	if (waiting->until->any && follow->ended > 0)
		return true;
	if (follow->unknown > 0 && follow->looked == follow->count && !waiting->until->unknown_ok)
		return true;
	return follow->ended == follow->count;
}

/* Answers still to come would find the jobs gone. */
static bool is_quiet(void *data)
{
	const struct follow *follow = data;
	const struct followed *job, *next;

	HASH_ITER(hh, follow->jobs, job, next)
	if (job->asking)
		return false;
	return true;
}

static int name_unknown(const struct follow *follow, struct err *err)
{
	const struct followed *job, *next;

	HASH_ITER(hh, follow->jobs, job, next)
	if (job->looked && job->state < 0)
		return err_set(err, ERR_NOT_FOUND,
			       "nobody knows a job %s: check the id and --prefix; --unknown-ok waits for it to come",
			       job->id);
	return 0;
}

static int not_ended(void *data, struct ids *ret, struct err *err)
{
	const struct follow *follow = ((struct waiting *)data)->follow;
	const struct followed *job, *next;

	(void)err;
	HASH_ITER(hh, follow->jobs, job, next)
	if (!has_ended(job))
		ids_add(ret, job->id);
	return 0;
}

int follow_run(struct follow *follow, const struct follow_until *until, struct err *err)
{
	struct waiting waiting = {follow, until};
	int r;

	follow->listener = store_listen(follow->session->store, NULL, on_event, follow);
	look(follow);
	r = unserved_run(follow->session, is_over, until->timeout_ms, follow->session->app->command->name, not_ended,
			 &waiting, err);
	store_unlisten(follow->listener);
	follow->listener = NULL;
	if (r == 0)
		r = session_run(follow->session, is_quiet, follow, -1, err);
	if (r < 0 || (until->any && follow->ended > 0) || follow->ended == follow->count)
		return r;
	return name_unknown(follow, err);
}

int follow_exit(const struct follow *follow)
{
	const struct followed *job, *next;

	HASH_ITER(hh, follow->jobs, job, next)
	if (has_ended(job) && job->state != JOB_SUCCEEDED)
		return EXIT_NOT_SUCCEEDED;
	return EXIT_OK;
}

int follow_one(struct session *session, const char *id, struct err *err)
{
	const struct follow_until until = {.timeout_ms = -1};
	CLEANUP(store_reply_freep) struct store_reply *record = NULL;
	CLEANUP(buf_release) struct buf why = BUF_INIT;
	struct follow follow;
	int r;

	follow_init(&follow, session, &id, 1);
	r = follow_run(&follow, &until, err);
	if (r == 0)
		r = follow_exit(&follow);
	follow_release(&follow);
	if (r != EXIT_NOT_SUCCEEDED)
		return r;
	record = session_record(session, id, err);
	if (!record)
		return err->code;
	record_reason(record, &why);
	fprintf(stderr, "%s: %s: %s; see flotilla why %s\n", id, record_text(record, "state"), why.data, id);
	return r;
}
