/* Claiming: the one place where it is decided that a job runs here. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <utlist.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "worker.h"

static void take_slot(struct item *item)
{
	item->state = ITEM_CLAIMING;
	item->slot = !item->instant && schedule_free_slots(item->worker) > 0 && ahead_goes_first(item);
	if (item->slot)
		item->worker->running_count++;
	else if (!item->instant)
		ahead_take(item);
	if (!item->token[0])
		random_hex(item->token, (WORKER_TOKEN - 1) / 2);
}

void claim_give_back(struct item *item)
{
	if (item->slot)
		item->worker->running_count--;
	item->slot = false;
	ahead_give_back(item);
	item->worker->dirty = true;
}

/* Whatever it was, it is not for us to run (any more): the delivery has served. */
void claim_drop(struct item *item)
{
	claim_give_back(item);
	item->worker->intake.started++;
	acks_item_durable(item);
	item_free(item);
}

/* Redis will not have it. What came in a message is parked with the reason; an invitation is owed all the same. */
void claim_refused(struct item *item, const char *error)
{
	const struct log_job job = item_log(item);

	log_line(LOG_LEVEL_ERROR, &job, "Redis refuses its claim: %s", error);
	if (!item->decoded) {
		claim_drop(item);
		return;
	}
	claim_give_back(item);
	deliver_refused(item, error);
}

static void claimed(struct item *item, const struct store_reply *reply)
{
	struct worker *worker = item->worker;
	size_t len;
	const char *spec = store_reply_text(store_reply_at(reply, 3), &len);
	struct err err;

	item->state = ITEM_RUNNING;
	item->since = clock_mono_ms();
	item->attempt_no = store_int_at(reply, 1);
	item->failures = store_int_at(reply, 5);
	if (store_text_at(reply, 7)[0])
		item->dependent = xstrdup(store_text_at(reply, 7));
	worker->intake.started++;
	worker->counts.claims[COUNT_CLAIM_TAKEN]++;
	schedule_queued_at(item, store_int_at(reply, 6)); /* which is told where somebody asks how long jobs wait */
	DL_APPEND(worker->running, item);
	if (!item->decoded) {
		if (job_decode_spec(&item->job, spec, len, item->id, worker->options.pool, store_text_at(reply, 4),
				    &worker->limits, &err) < 0) {
			attempt_settle_refused(item, JOB_REASON_ERROR, err.text);
			return;
		}
		item->decoded = true;
	}
	if (executor_instant(worker->executor, item->job.task))
		ahead_give_back(item);
	else if (!item->slot && !item->ahead)
		ahead_take(item); /* the invitation's hint was wrong */
	attempt_begin(item);
}

/* --- the answers --- */

static void on_owed_elsewhere(void *data, const struct store_reply *reply)
{
	struct item *item = data;

	fleet_follow(item->worker->fleet, item->id, NULL, reply);
	claim_drop(item);
}

/* It has lost workers: it is claimed for a slot that is free, or not at all. */
static void later(struct item *item)
{
	claim_give_back(item);
	item->token[0] = '\0';
	item->slot_only = true;
	schedule_hold(item);
}

/* It was registered and is not known any more: Redis has lost its last second, and the message is all there is. */
static void again(struct item *item)
{
	const struct log_job job = item_log(item);

	log_line(LOG_LEVEL_WARN, &job, "it is not known to Redis any more: registering it again");
	claim_give_back(item);
	item->token[0] = '\0';
	deliver_admit(item);
}

static void count_refusal(struct worker *worker, const struct store_reply *reply)
{
	static const struct {
		const char *word, *state;
		enum count_claim answer;
	} rows[] = {{"not", "", COUNT_CLAIM_NOT_QUEUED},
		    {"ended", "expired", COUNT_CLAIM_EXPIRED},
		    {"ended", "failed", COUNT_CLAIM_UNSIGNED},
		    {"pool", "", COUNT_CLAIM_POOL},
		    {"unknown", "", COUNT_CLAIM_TASK},
		    {"later", "", COUNT_CLAIM_LATER},
		    {"gone", "", COUNT_CLAIM_GONE}};
	enum count_claim answer = COUNT_CLAIM_ERROR;

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		if (strcmp(store_text_at(reply, 0), rows[i].word) == 0 &&
		    (!*rows[i].state || strcmp(store_text_at(reply, 1), rows[i].state) == 0))
			answer = rows[i].answer;
	worker->counts.claims[answer]++;
}

static void on_claim(void *data, const struct store_reply *reply)
{
	struct item *item = data;
	struct worker *worker = item->worker;
	const char *word = store_text_at(reply, 0);

	if (strcmp(word, "claimed") != 0)
		count_refusal(worker, reply);
	if (strcmp(word, "claimed") == 0) {
		claimed(item, reply);
	} else if (strcmp(word, "later") == 0) {
		later(item);
	} else if (strcmp(word, "unknown") == 0) {
		unknown_task(item, store_text_at(reply, 1));
	} else if (strcmp(word, "pool") == 0) {
		/* an invitation that lay in another pool's queue: it is owed to its own */
		store_script(worker->store, "owe", item->id, NULL, NULL, 0, on_owed_elsewhere, item);
	} else if (store_reply_error(reply)) {
		claim_refused(item, store_reply_error(reply));
	} else if (strcmp(word, "gone") == 0 && item->decoded) {
		again(item);
	} else {
		fleet_follow(worker->fleet, item->id, NULL, reply); /* it may have expired here */
		claim_drop(item);
	}
}

void claim_item(struct item *item)
{
	struct worker *worker = item->worker;
	struct store_arg args[9];

	take_slot(item);
	args[0] = STORE_TEXT(item->token);
	args[1] = STORE_TEXT(worker->options.name);
	args[2] = STORE_TEXT(worker->lease_text);
	args[3] = STORE_TEXT(worker->options.pool);
	args[4] = STORE_TEXT(worker->tasks);
	args[5] = STORE_TEXT(item->decoded ? "0" : "1");
	args[6] = STORE_TEXT(item->ahead ? "1" : "0");
	args[7] = STORE_TEXT(signed_demand(worker));
	args[8] = STORE_TEXT("1");
	store_script(worker->store, "claim", item->id, item->decoded ? item->job.run : NULL, args,
		     worker->metrics ? 9 : 8, on_claim, item);
}

/* --- admit and claim in one --- */

static void on_start(void *data, const struct store_reply *reply)
{
	struct item *item = data;

	if (strcmp(store_text_at(reply, 0), "claimed") == 0) {
		claimed(item, reply);
		return;
	}
	/* known already, whatever became of it: the slower way finds out */
	item->worker->counts.claims[store_reply_error(reply) ? COUNT_CLAIM_ERROR : COUNT_CLAIM_NOT_QUEUED]++;
	claim_give_back(item);
	item->token[0] = '\0';
	deliver_admit(item);
}

static bool simple(const struct item *item)
{
	const struct job *job = &item->job;
	const struct worker *worker = item->worker;

	return job->after_count == 0 && !job->dedup && job->delay_ms < 0 && job->run_at < 0 && job->expires_at < 0 &&
	       strcmp(job->pool, worker->options.pool) == 0 &&
	       strcmp(job->priority, worker->levels[item->level].name) == 0 &&
	       executor_knows(worker->executor, job->task) == EXEC_KNOWN;
}

/* Whether it can be admitted and claimed in one, if there is a place for it. */
static bool startable(const struct item *item)
{
	struct worker *worker = item->worker;

	return !worker->draining && store_up(worker->store) && !store_full(worker->store) && simple(item);
}

void claim_fresh(struct item *item)
{
	struct worker *worker = item->worker;
	const struct job *job = &item->job;
	struct fleet_admit_text text = {.labels_buf = BUF_INIT, .reply_buf = BUF_INIT};

	item->fresh = false;
	take_slot(item);
	fleet_admit_args(job, &text);
	const struct store_arg args[] = {
		STORE_TEXT(job->task),
		STORE_TEXT(job->pool),
		STORE_TEXT(job->priority),
		STORE_BYTES(job->spec, job->spec_len),
		text.keep,
		text.retries,
		text.labels,
		text.reply,
		text.encoding,
		STORE_TEXT(item->token),
		STORE_TEXT(worker->options.name),
		STORE_TEXT(worker->lease_text),
		STORE_TEXT(job->user ? job->user : ""),
	};
	store_script(worker->store, "start", item->id, job->run, args, sizeof args / sizeof *args, on_start, item);
	fleet_admit_release(&text);
}

bool claim_start(struct item *item)
{
	struct worker *worker = item->worker;

	if (!startable(item))
		return false;
	if (schedule_held(worker) == 0 &&
	    (item->instant || schedule_free_slots(worker) > 0 || ahead_room(worker, item->level))) {
		worker->starts++;
		claim_fresh(item);
		return true;
	}
	if (!ahead_soon(worker))
		return false;
	item->fresh = true;
	schedule_hold(item);
	return true;
}

/* --- a dependent that becomes ready while its predecessor's end is told --- */

/* Only with nothing held that may be more urgent. The place is an item without a delivery. */
static void *reserve(void *data, struct fleet_claim *ret)
{
	struct worker *worker = data;
	struct item *item;

	if (worker->draining || worker->finished || worker->yielding || !store_up(worker->store) ||
	    schedule_held(worker) > 0 || (schedule_free_slots(worker) == 0 && !ahead_room(worker, WORKER_LEVELS)))
		return NULL;
	item = item_new(worker, 0, 0, 0, NULL);
	take_slot(item);
	*ret = (struct fleet_claim){item->token,          worker->options.name, worker->lease_text,
				    worker->options.pool, worker->tasks,        signed_demand(worker)};
	return item;
}

static void release(void *data, void *place)
{
	(void)data;
	claim_give_back(place);
	item_free(place);
}

static void begin(void *data, void *place, const char *id, const struct store_reply *reply)
{
	struct worker *worker = data;
	struct item *item = place;

	item->id = xstrdup(id);
	for (size_t i = 0; i < worker->level_count; i++)
		if (strcmp(worker->levels[i].name, store_text_at(reply, 4)) == 0)
			item->level = i;
	if (item->ahead) { /* its level was not known */
		ahead_give_back(item);
		ahead_take(item);
	}
	worker->starts++;
	claimed(item, reply);
}

struct fleet_taker claim_taker(struct worker *worker) { return (struct fleet_taker){reserve, release, begin, worker}; }
