#include "unserved.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "record.h"

#define HINT_MS 3000
#define SAMPLE "200"

struct queued_pool {
	const char *name, *job; /* one of the jobs there */
	size_t jobs;
};

/* Pools with queued jobs; few. */
struct queued {
	const struct ids *jobs;
	struct ids names; /* owns the names */
	struct queued_pool *pools;
};

static void on_record(void *data, size_t index, const struct store_reply *record)
{
	struct queued *queued = data;
	const char *pool = record_text(record, "pool");
	size_t at = 0;

	if (record_state(record) != JOB_QUEUED)
		return;
	while (at < queued->names.count && strcmp(queued->names.at[at], pool) != 0)
		at++;
	if (at == queued->names.count) {
		ids_add(&queued->names, pool);
		queued->pools = xrealloc(queued->pools, (at + 1) * sizeof *queued->pools);
		queued->pools[at] = (struct queued_pool){queued->names.at[at], queued->jobs->at[index], 0};
	}
	queued->pools[at].jobs++;
}

static void queued_release(struct queued *queued)
{
	ids_release(&queued->names);
	free(queued->pools);
}

static int read_queued(struct session *session, const struct ids *jobs, struct queued *ret, struct err *err)
{
	ret->jobs = jobs;
	return session_each(session, "HGETALL", KEY_JOB, (const char *const *)jobs->at, jobs->count, on_record, ret,
			    err);
}

static bool is_served(const struct workers *workers, const char *pool)
{
	for (size_t i = 0; i < workers->count; i++)
		if (worker_serves(&workers->at[i], pool))
			return true;
	return false;
}

static int say(struct session *session, const char *command, const struct ids *jobs, struct err *err)
{
	CLEANUP(queued_release) struct queued queued = {0};
	CLEANUP(workers_release) struct workers workers = {0};
	int r = read_queued(session, jobs, &queued, err);

	if (r == 0)
		r = workers_read(session, &workers, err);
	for (size_t i = 0; r == 0 && i < queued.names.count; i++) {
		const struct queued_pool *pool = &queued.pools[i];
		if (is_served(&workers, pool->name))
			continue;
		fprintf(stderr, "flotilla %s: no worker serves pool %s, where %s is queued", command, pool->name,
			pool->job);
		if (pool->jobs > 1)
			fprintf(stderr, " and %zu more", pool->jobs - 1);
		fprintf(stderr, "; start one: flotillad --pool %s\n", pool->name);
	}
	return r;
}

int unserved_run(struct session *session, bool (*until)(void *data), int64_t timeout_ms, const char *command,
		 unserved_jobs *jobs, void *data, struct err *err)
{
	CLEANUP(ids_release) struct ids ids = {0};
	int r;

	if (timeout_ms >= 0 && timeout_ms <= HINT_MS)
		return session_run(session, until, data, timeout_ms, err);
	r = session_run(session, until, data, HINT_MS, err);
	if (r != ERR_TIMEOUT)
		return r;
	r = jobs(data, &ids, err);
	if (r == 0)
		r = say(session, command, &ids, err);
	if (r < 0)
		return r;
	return session_run(session, until, data, timeout_ms < 0 ? -1 : timeout_ms - HINT_MS, err);
}

int unserved_pools(struct session *session, const struct texts *pools, struct ids *ret, struct err *err)
{
	CLEANUP(store_reply_freep)
	struct store_reply *owed =
		store_sync(session->store, SESSION_ANSWER_MS, err, "ZRANDMEMBER %k " SAMPLE, KEY_OUTBOX, "");
	CLEANUP(queued_release) struct queued queued = {0};
	CLEANUP(ids_release) struct ids jobs = {0};
	int r;

	if (!owed)
		return err->code;
	for (size_t i = 0; i < store_reply_count(owed); i++)
		ids_add(&jobs, store_text_at(owed, i));
	r = read_queued(session, &jobs, &queued, err);
	for (size_t i = 0; r == 0 && i < queued.names.count; i++) {
		bool known = false;
		for (size_t j = 0; j < pools->count && !known; j++)
			known = strcmp(pools->at[j], queued.names.at[i]) == 0;
		if (!known)
			ids_add(ret, queued.names.at[i]);
	}
	return r;
}
