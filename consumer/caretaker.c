/* The caretaker: what dead processes left undone. Any worker can hold the role, by a short lease of its own; it gives
 * it up when it cannot do all of it.
 *
 * A running job is taken from its worker (lose) only where lease and token are the same at two looks at least half a
 * lease apart, by this process' monotonic clock, in one session with Redis that is at least a lease old, and the time
 * in which the others find Redis again: a Redis that paused or restarted takes nothing from workers that live. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "worker.h"

#define SWEEP_MS 100
#define ROLE_MAX_MS 4000 /* how long the role is held without a sign of life; less where leases are short */
#define SWEEP_LIMIT "1000"
#define FLOWS_MAX 5000 /* with more under way it is for others to sweep */
#define RETURN_MS 3000 /* in which a worker that lost Redis has found it again: see backoff in the store's session */

/* A lease as it was first seen. */
struct seen {
	UT_hash_handle hh;
	int64_t first, last; /* monotonic ms */
	char score[32], token[40];
	char id[];
};

struct caretaker {
	struct worker *worker;
	bool mine, sweeping;
	int64_t role_asked;
	struct seen *seen;
};

/* The rest of a call about one job. */
struct task {
	struct worker *worker;
	char id[];
};

static struct task *task_new(struct worker *worker, const char *id)
{
	size_t len = strlen(id) + 1;
	struct task *task = xmalloc(sizeof *task + len);

	task->worker = worker;
	memcpy(task->id, id, len);
	return task;
}

static void on_followed(void *data, const struct store_reply *reply)
{
	struct task *task = data;

	fleet_follow(task->worker->fleet, task->id, NULL, reply);
	free(task);
}

static void each(struct worker *worker, const struct store_reply *ids, const char *script, enum count_care kind)
{
	worker->counts.care[kind] += store_reply_count(ids);
	for (size_t i = 0; i < store_reply_count(ids); i++) {
		const char *id = store_text_at(ids, i);
		store_script(worker->store, script, id, NULL, NULL, 0, on_followed, task_new(worker, id));
	}
}

void caretaker_put_off(struct worker *worker, enum store_key key, const char *id, int64_t until)
{
	store_format(worker->store, NULL, NULL, "ZADD %k XX GT %d %s", key, "", until, id);
}

/* --- registrations, ends, replies --- */

static void sweep_settling(struct worker *worker, const struct store_reply *ids, int64_t redis_now)
{
	worker->counts.care[COUNT_CARE_SETTLING] += store_reply_count(ids);
	for (size_t i = 0; i < store_reply_count(ids); i++) {
		caretaker_put_off(worker, KEY_SETTLING, store_text_at(ids, i), redis_now);
		fleet_resume(worker->fleet, store_text_at(ids, i), NULL, NULL);
	}
}

static void sweep_replies(struct worker *worker, const struct store_reply *ids, int64_t redis_now)
{
	worker->counts.care[COUNT_CARE_REPLIES] += store_reply_count(ids);
	for (size_t i = 0; i < store_reply_count(ids); i++) {
		caretaker_put_off(worker, KEY_REPLIES, store_text_at(ids, i), redis_now + 5000);
		fleet_reply_overdue(worker->fleet, store_text_at(ids, i));
	}
}

/* --- leases --- */

static void on_token(void *data, const struct store_reply *reply)
{
	struct task *task = data;
	struct caretaker *c = task->worker->caretaker;
	struct seen *seen = NULL;

	if (c)
		HASH_FIND_STR(c->seen, task->id, seen);
	if (seen)
		snprintf(seen->token, sizeof seen->token, "%s", store_reply_text(reply, NULL));
	free(task);
}

static void look_at(struct caretaker *c, const char *id, const char *score, int64_t now)
{
	size_t len = strlen(id) + 1;
	struct seen *seen;

	HASH_FIND_STR(c->seen, id, seen);
	if (seen && strcmp(seen->score, score) == 0) {
		seen->last = now;
		return;
	}
	if (!seen) {
		seen = xcalloc(1, sizeof *seen + len);
		memcpy(seen->id, id, len);
		HASH_ADD_KEYPTR(hh, c->seen, seen->id, len - 1, seen);
	}
	snprintf(seen->score, sizeof seen->score, "%s", score);
	seen->token[0] = '\0';
	seen->first = seen->last = now;
	store_format(c->worker->store, on_token, task_new(c->worker, id), "HGET %k token", KEY_JOB, id);
}

static void on_lost(void *data, const struct store_reply *reply)
{
	struct task *task = data;
	const struct log_job job = {.id = task->id};

	if (strcmp(store_text_at(reply, 0), "queued") == 0) {
		task->worker->counts.care[COUNT_CARE_LOST]++;
		log_line(LOG_LEVEL_WARN, &job, "its worker is gone: queued again");
	}
	on_followed(task, reply);
}

static void lose(struct caretaker *c, const struct seen *seen)
{
	char max_lost[24];

	snprintf(max_lost, sizeof max_lost, "%" PRId64, c->worker->options.max_lost);
	const struct store_arg args[] = {STORE_TEXT(seen->token), STORE_TEXT(seen->score), STORE_TEXT(max_lost)};
	store_script(c->worker->store, "lose", seen->id, NULL, args, 3, on_lost, task_new(c->worker, seen->id));
}

static void forget_leases(struct caretaker *c)
{
	struct seen *seen, *next;

	HASH_ITER(hh, c->seen, seen, next)
	{
		HASH_DEL(c->seen, seen);
		free(seen);
	}
}

static void sweep_leases(struct caretaker *c, const struct store_reply *leases, int64_t redis_now)
{
	int64_t lease = c->worker->options.lease_ms, now = clock_mono_ms();
	struct seen *seen, *next;

	for (size_t i = 0; i + 1 < store_reply_count(leases); i += 2)
		look_at(c, store_text_at(leases, i), store_text_at(leases, i + 1), now);
	if (store_session_ms(c->worker->store) < lease + RETURN_MS)
		return;
	HASH_ITER(hh, c->seen, seen, next)
	{
		if (seen->last != now) {
			HASH_DEL(c->seen, seen);
			free(seen);
		} else if (strtoll(seen->score, NULL, 10) < redis_now && now - seen->first >= lease / 2 &&
			   seen->token[0]) {
			lose(c, seen);
		}
	}
}

static void sweep_workers(struct worker *worker, const struct store_reply *names, int64_t redis_now)
{
	char since[24];

	snprintf(since, sizeof since, "%" PRId64, redis_now - worker->options.lease_ms);
	const struct store_arg args[] = {STORE_TEXT(since)};
	worker->counts.care[COUNT_CARE_WORKERS] += store_reply_count(names);
	for (size_t i = 0; i < store_reply_count(names); i++) {
		log_warn("worker %s has not been heard of for a lease: struck off", store_text_at(names, i));
		store_script(worker->store, "leave", store_text_at(names, i), worker->options.pool, args, 1, NULL,
			     NULL);
	}
}

/* --- the role --- */

static void on_sweep(void *data, const struct store_reply *reply)
{
	struct worker *worker = data;
	struct caretaker *c = worker->caretaker;
	int64_t redis_now = store_int_at(reply, 0);

	if (!c)
		return;
	c->sweeping = false;
	if (store_reply_count(reply) != 8 || !c->mine)
		return;
	/* what makes messages waits where the broker does not take them: it would only gather here */
	if (fleet_has_room(worker->fleet)) {
		each(worker, store_reply_at(reply, 1), "due", COUNT_CARE_DUE);
		each(worker, store_reply_at(reply, 2), "expire", COUNT_CARE_EXPIRED);
		overdue_sweep(worker, store_reply_at(reply, 3), redis_now);
		sweep_settling(worker, store_reply_at(reply, 4), redis_now);
		sweep_replies(worker, store_reply_at(reply, 5), redis_now);
	}
	sweep_leases(c, store_reply_at(reply, 6), redis_now);
	sweep_workers(worker, store_reply_at(reply, 7), redis_now);
}

static void on_role(void *data, const struct store_reply *reply)
{
	struct worker *worker = data;
	struct caretaker *c = worker->caretaker;
	bool mine = strcmp(store_text_at(reply, 0), "mine") == 0;

	if (!c)
		return;
	if (mine != c->mine)
		log_info("%s the caretaker's role", mine ? "takes" : "leaves");
	if (!mine)
		forget_leases(c);
	else if (!c->mine)
		FAULT_POINT(ROLE_TAKEN);
	c->mine = mine;
}

/* Short enough that the next caretaker has its two looks before a lease of the last one's jobs is over. */
static int64_t role_ms(const struct caretaker *c)
{
	int64_t part = c->worker->options.lease_ms * 4 / 10;
	return part < ROLE_MAX_MS ? part : ROLE_MAX_MS;
}

static void ask_role(struct caretaker *c)
{
	struct worker *worker = c->worker;
	bool able = publisher_up(worker->publisher) && worker->intake.broker && !worker->draining &&
		    fleet_busy(worker->fleet) <= FLOWS_MAX;
	char ttl[24];

	snprintf(ttl, sizeof ttl, "%" PRId64, able ? role_ms(c) : 0);
	const struct store_arg args[] = {STORE_TEXT(ttl)};
	if (able || c->mine)
		store_script(worker->store, "role", worker->options.name, NULL, args, 1, on_role, worker);
}

static void sweep(struct caretaker *c)
{
	struct worker *worker = c->worker;
	char ahead[24];

	if (c->sweeping || fleet_busy(worker->fleet) > FLOWS_MAX)
		return;
	c->sweeping = true;
	snprintf(ahead, sizeof ahead, "%" PRId64, worker->options.lease_ms * 6 / 10);
	const struct store_arg args[] = {STORE_TEXT(ahead), STORE_TEXT(worker->lease_text), STORE_TEXT(SWEEP_LIMIT)};
	store_script(worker->store, "sweep", worker->options.name, NULL, args, 3, on_sweep, worker);
}

static void on_tick(uv_timer_t *timer)
{
	struct worker *worker = timer->data;
	struct caretaker *c = worker->caretaker;
	int64_t now = clock_mono_ms();

	if (!c)
		return;
	if (!store_up(worker->store)) {
		c->mine = c->sweeping = false;
		forget_leases(c);
		return;
	}
	if (now - c->role_asked >= role_ms(c) / 4) {
		c->role_asked = now;
		ask_role(c);
	}
	if (c->mine)
		sweep(c);
}

void caretaker_start(struct worker *worker)
{
	worker->caretaker = xcalloc(1, sizeof *worker->caretaker);
	worker->caretaker->worker = worker;
	uv_timer_init(worker->loop, &worker->caretaker_timer);
	worker->caretaker_timer.data = worker;
	uv_timer_start(&worker->caretaker_timer, on_tick, 0, SWEEP_MS);
}

void caretaker_stop(struct worker *worker)
{
	struct caretaker *c = worker->caretaker;
	const struct store_arg args[] = {STORE_TEXT("0")};

	if (!c)
		return;
	if (c->mine)
		store_script(worker->store, "role", worker->options.name, NULL, args, 1, NULL, NULL);
	uv_timer_stop(&worker->caretaker_timer);
	forget_leases(c);
	worker->caretaker = NULL;
	free(c);
}

bool caretaker_has_role(const struct worker *worker) { return worker->caretaker && worker->caretaker->mine; }
