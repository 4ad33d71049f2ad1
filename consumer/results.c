/* The results of a job's predecessors, which its attempt is given. */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "worker.h"

#define RESULTS_MAX (1 << 20)
#define GATHER_AT_ONCE 100

/* One by one, up to a bound, some at a time. */
struct gathering {
	struct item *item;
	struct buf results, missing;
	size_t next, open;
};

struct wanted {
	struct gathering *gathering;
	size_t index;
};

static void gather(struct gathering *g);

static void gathered(struct gathering *g)
{
	g->open--;
	if (g->next < g->item->job.after_count) {
		gather(g);
		return;
	}
	if (g->open > 0)
		return;
	buf_adds(&g->results, g->results.len ? "}" : "{}");
	buf_adds(&g->missing, g->missing.len ? "]" : "[]");
	attempt_start(g->item, g->results.data, g->missing.data);
	buf_release(&g->results);
	buf_release(&g->missing);
	free(g);
}

static void add_missing(struct gathering *g, const char *id)
{
	buf_addf(&g->missing, "%c\"%s\"", g->missing.len ? ',' : '[', id);
}

static void on_result(void *data, const struct store_reply *reply)
{
	struct wanted *wanted = data;
	struct gathering *g = wanted->gathering;
	const char *id = g->item->job.after[wanted->index].id;
	size_t len;
	const char *value = store_reply_text(reply, &len);

	free(wanted);
	if (g->results.len + len > RESULTS_MAX)
		add_missing(g, id);
	else
		buf_addf(&g->results, "%c\"%s\":%s", g->results.len ? ',' : '{', id,
			 store_reply_nil(reply) ? "null" : value);
	gathered(g);
}

static void ask(struct wanted *wanted)
{
	const struct item *item = wanted->gathering->item;

	store_format(item->worker->store, on_result, wanted, "GET %k", KEY_RESULT, item->job.after[wanted->index].id);
}

/* A user's job is given the results of that user's jobs alone. */
static void on_user(void *data, const struct store_reply *reply)
{
	struct wanted *wanted = data;
	struct gathering *g = wanted->gathering;

	if (strcmp(store_reply_text(reply, NULL), g->item->job.user) == 0) {
		ask(wanted);
		return;
	}
	add_missing(g, g->item->job.after[wanted->index].id);
	free(wanted);
	gathered(g);
}

static void gather(struct gathering *g)
{
	const struct job *job = &g->item->job;

	for (; g->next < job->after_count && g->open < GATHER_AT_ONCE; g->next++) {
		struct wanted *wanted = xmalloc(sizeof *wanted);
		*wanted = (struct wanted){g, g->next};
		g->open++;
		if (job->user)
			store_format(g->item->worker->store, on_user, wanted, "HGET %k user", KEY_JOB,
				     job->after[g->next].id);
		else
			ask(wanted);
	}
}

void results_gather(struct item *item)
{
	struct gathering *g = xcalloc(1, sizeof *g);

	g->item = item;
	gather(g);
}
