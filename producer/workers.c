#include "workers.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "record.h"

#define LEASE_MS 10000 /* of a worker that does not say */

const char *worker_text(const struct worker *worker, const char *field) { return record_text(worker->record, field); }
int64_t worker_int(const struct worker *worker, const char *field) { return record_int(worker->record, field, 0); }

bool worker_serves(const struct worker *worker, const char *pool)
{
	return worker->alive && strcmp(worker_text(worker, "pool"), pool) == 0;
}

bool worker_knows(const struct worker *worker, const char *task)
{
	const char *at = worker_text(worker, "tasks");
	size_t len = strlen(task);

	while (*at) {
		size_t word = strcspn(at, ",");
		if (word == len && memcmp(at, task, len) == 0)
			return true;
		at += word + (at[word] == ',');
	}
	return false;
}

static void on_worker(void *data, size_t index, const struct store_reply *record)
{
	struct workers *workers = data;
	struct worker *worker = &workers->at[index];
	int64_t lease_ms = record_int(record, "lease_ms", LEASE_MS);

	worker->record = store_reply_copy(record);
	worker->alive = store_reply_count(record) > 0 && workers->now_ms - worker->seen_ms <= lease_ms;
}

static int by_pool_and_name(const void *a, const void *b)
{
	const struct worker *x = a, *y = b;
	int order = strcmp(worker_text(x, "pool"), worker_text(y, "pool"));

	return order ? order : strcmp(x->name, y->name);
}

int workers_read(struct session *session, struct workers *ret, struct err *err)
{
	CLEANUP(store_reply_freep) struct store_reply *names = NULL;
	CLEANUP(freep) const char **ids = NULL;
	int r = session_now(session, &ret->now_ms, err);

	if (r < 0)
		return r;
	names = store_sync(session->store, SESSION_ANSWER_MS, err, "ZRANGE %k 0 -1 WITHSCORES", KEY_WORKERS, "");
	if (!names)
		return err->code;
	ret->count = store_reply_count(names) / 2;
	ret->at = xcalloc(ret->count + 1, sizeof *ret->at);
	ids = xcalloc(ret->count + 1, sizeof *ids);
	for (size_t i = 0; i < ret->count; i++) {
		ret->at[i].name = xstrdup(store_text_at(names, 2 * i));
		ret->at[i].seen_ms = store_int_at(names, 2 * i + 1);
		ids[i] = ret->at[i].name;
	}
	r = session_each(session, "HGETALL", KEY_WORKER, ids, ret->count, on_worker, ret, err);
	if (r == 0)
		qsort(ret->at, ret->count, sizeof *ret->at, by_pool_and_name);
	return r;
}

static void worker_release(struct worker *worker)
{
	free(worker->name);
	store_reply_free(worker->record);
}

void workers_keep(struct workers *workers, bool (*wanted)(const struct worker *worker, const void *data),
		  const void *data)
{
	size_t kept = 0;

	for (size_t i = 0; i < workers->count; i++)
		if (wanted(&workers->at[i], data))
			workers->at[kept++] = workers->at[i];
		else
			worker_release(&workers->at[i]);
	workers->count = kept;
}

void workers_release(struct workers *workers)
{
	for (size_t i = 0; i < workers->count; i++)
		worker_release(&workers->at[i]);
	free(workers->at);
	*workers = (struct workers){0};
}

struct texts workers_pools(const struct workers *workers)
{
	struct texts pools = {0};

	texts_add(&pools, DEFAULT_POOL);
	for (size_t i = 0; i < workers->count; i++) {
		const char *pool = worker_text(&workers->at[i], "pool");
		bool known = !workers->at[i].alive || !*pool;
		for (size_t j = 0; j < pools.count && !known; j++)
			known = strcmp(pools.at[j], pool) == 0;
		if (!known)
			texts_add(&pools, pool);
	}
	return pools;
}
