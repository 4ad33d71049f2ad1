/* A task that this worker has no handler for, or may not run: another worker of the pool gets it. After UNKNOWN_MS of
 * that the workers are asked what they know, and the job fails where none knows the task. */
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "worker.h"

#define UNKNOWN_MS 10000 /* for so long it is offered around */

struct peers {
	struct item *item;
	char *task;
	size_t open;
	bool known;
};

static void on_refused(void *data, const struct store_reply *reply)
{
	struct item *item = data;

	if (strcmp(store_text_at(reply, 0), "ended") == 0)
		metrics_settled(item, reply);
	fleet_follow(item->worker->fleet, item->id, NULL, reply);
	claim_drop(item);
}

static void refuse(struct item *item, const char *task)
{
	struct worker *worker = item->worker;
	enum exec_knows knows = executor_knows(worker->executor, task);
	char error[400];
	const char *reason =
		job_reason_name(knows == EXEC_NOT_ALLOWED ? JOB_REASON_NOT_ALLOWED : JOB_REASON_UNKNOWN_TASK);
	struct store_arg args[2];

	if (knows == EXEC_NOT_ALLOWED)
		snprintf(error, sizeof error,
			 "no worker of pool %s may run %.200s: one has to be started with --allow-exec",
			 worker->options.pool, task);
	else
		snprintf(error, sizeof error, "no worker of pool %s has a handler for the task \"%.200s\"",
			 worker->options.pool, task);
	args[0] = STORE_TEXT(reason);
	args[1] = STORE_TEXT(error);
	store_script(worker->store, "refuse", item->id, NULL, args, 2, on_refused, item);
}

static void peers_done(struct peers *peers)
{
	if (--peers->open > 0)
		return;
	if (peers->known)
		claim_drop(peers->item);
	else
		refuse(peers->item, peers->task);
	free(peers->task);
	free(peers);
}

static bool lists(const char *tasks, const char *task)
{
	size_t len = strlen(task);

	for (const char *at = tasks; (at = strstr(at, task)) != NULL; at += len)
		if ((at == tasks || at[-1] == ',') && (at[len] == ',' || at[len] == '\0'))
			return true;
	return false;
}

static void on_peer(void *data, const struct store_reply *reply)
{
	struct peers *peers = data;

	if (strcmp(store_text_at(reply, 0), peers->item->worker->options.pool) == 0 &&
	    lists(store_text_at(reply, 1), peers->task))
		peers->known = true;
	peers_done(peers);
}

static void on_peers(void *data, const struct store_reply *reply)
{
	struct peers *peers = data;
	struct store *store = peers->item->worker->store;

	peers->open = 1;
	for (size_t i = 0; i < store_reply_count(reply); i++) {
		peers->open++;
		store_format(store, on_peer, peers, "HMGET %k pool tasks", KEY_WORKER, store_text_at(reply, i));
	}
	peers_done(peers);
}

static void on_deferred(void *data, const struct store_reply *reply)
{
	struct peers *peers = data;
	bool long_enough = strcmp(store_text_at(reply, 0), "deferred") == 0 && store_int_at(reply, 1) >= UNKNOWN_MS;

	if (long_enough) {
		store_format(peers->item->worker->store, on_peers, peers, "ZRANGE %k 0 -1", KEY_WORKERS, "");
		return;
	}
	if (store_reply_error(reply))
		claim_refused(peers->item, store_reply_error(reply));
	else
		claim_drop(peers->item);
	free(peers->task);
	free(peers);
}

void unknown_task(struct item *item, const char *task)
{
	struct peers *peers = xcalloc(1, sizeof *peers);

	peers->item = item;
	peers->task = xstrdup(task);
	claim_give_back(item);
	store_script(item->worker->store, "defer", item->id, NULL, NULL, 0, on_deferred, peers);
}
