/* Registration, in steps that can each be done twice and in any company. Jobs that wait for nothing are done after the
 * first.
 *
 * - admit: the record, the spec, the guard, the first predecessors, the entry in settling
 * - dedup: take the key; held by another that lives, the job waits for that one alone (join), watches it, and looks at
 * the key again
 * - fill: the rest of many predecessors
 * - revive, of a job that was retried: whom it let be skipped lives again
 * - watch: each predecessor; one that has ended already is resolved at once
 * - register: the guard goes, and with the last predecessor gone the job is ready
 */
#include <stdio.h>

#include "base/log.h"
#include "fleet/registration.h"

struct step {
	struct registration *r;
	const struct pred *pred;
};

static void watch_some(struct registration *r);

static void preds_clear(struct registration *r)
{
	for (size_t i = 0; i < r->count; i++)
		free(r->preds[i].id);
	free(r->preds);
	r->preds = NULL;
	r->count = r->next = 0;
}

void registration_end(struct registration *r, const char *state, const char *error)
{
	struct fleet_admission admission = {r->known, state, error, r->foreign};

	if (r->admitted)
		r->admitted(r->data, &admission);
	if (r->done)
		r->done(r->data);
	r->fleet->busy--;
	preds_clear(r);
	free(r->id);
	free(r->run);
	free(r->dedup);
	free(r->holder);
	free(r->tenure);
	free(r->stale);
	free(r->stale_tenure);
	free(r);
}

static bool may_be_forgotten(const struct registration *r) { return store_losses(r->fleet->store) != r->losses; }

bool registration_failed(struct registration *r, const struct store_reply *reply)
{
	const char *error = store_reply_error(reply);
	const struct log_job job = {r->id, r->run, 0};

	if (may_be_forgotten(r))
		return true;
	if (error)
		log_line(LOG_LEVEL_ERROR, &job, "registering it: %s; it will be tried again", error);
	r->failed = r->failed || error;
	return error != NULL;
}

void registration_give_up(struct registration *r)
{
	if (!may_be_forgotten(r)) {
		registration_end(r, "waiting", NULL);
		return;
	}
	r->losses = store_losses(r->fleet->store);
	r->failed = r->fresh = false;
	r->revive = r->epoch > 0;
	registration_from_stored(r);
}

struct registration *registration_new(struct fleet *fleet, const char *id)
{
	struct registration *r = xcalloc(1, sizeof *r);

	r->fleet = fleet;
	r->id = xstrdup(id);
	r->losses = store_losses(fleet->store);
	fleet->busy++;
	return r;
}

/* The word of an edge without the epoch that a retry put behind it. */
static const char *plain_when(const char *when)
{
	static const char *const words[] = {"succeeded", "failed", "ended", "duplicate"};
	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if (strncmp(when, words[i], strlen(words[i])) == 0)
			return words[i];
	return "succeeded";
}

void registration_add_pred(struct registration *r, const char *id, const char *when)
{
	if ((r->count & (r->count - 1)) == 0) /* twice the room at each power of two */
		r->preds = xrealloc(r->preds, (r->count ? 2 * r->count : 1) * sizeof *r->preds);
	r->preds[r->count++] = (struct pred){xstrdup(id), plain_when(when)};
}

/* --- register --- */

/* Where somebody else has finished the registration, and the job has ended since, a key that was taken here was taken
 * after its end had been told: its end is told once more, so that the key goes. */
bool registration_too_late(struct registration *r, const struct store_reply *reply)
{
	const char *text = store_text_at(reply, 1);
	int state = job_state_parse(text, strlen(text));

	if (!r->dedup || r->holder || state < 0 || !job_state_ended((enum job_state)state))
		return false;
	fleet_resume(r->fleet, r->id, NULL, NULL);
	return true;
}

static void on_guard_gone(void *data, const struct store_reply *reply)
{
	struct registration *r = data;
	char state[24];

	if (may_be_forgotten(r)) {
		registration_give_up(r);
		return;
	}
	if (fleet_says(reply, "redo")) {
		registration_from_stored(r);
		return;
	}
	fleet_follow(r->fleet, r->id, r->run, reply);
	if (fleet_says(reply, "done"))
		registration_too_late(r, reply);
	snprintf(state, sizeof state, "%s", store_text_at(reply, 1));
	registration_end(r, state, store_reply_error(reply));
}

void registration_take_guard_away(struct registration *r)
{
	const struct store_arg args[] = {STORE_TEXT(r->holder ? r->holder : "")};
	store_script(r->fleet->store, "register", r->id, r->run, args, 1, on_guard_gone, r);
}

/* --- watch --- */

static void step_done(struct registration *r)
{
	bool stop = r->failed || may_be_forgotten(r);

	r->open--;
	if (!stop && r->next < r->count)
		watch_some(r);
	else if (r->open == 0 && stop)
		registration_give_up(r);
	else if (r->open == 0)
		registration_take_guard_away(r);
}

static void on_resolved(void *data, const struct store_reply *reply)
{
	struct registration *r = data;

	if (!registration_failed(r, reply))
		fleet_follow(r->fleet, r->id, r->run, reply);
	step_done(r);
}

static void on_watched(void *data, const struct store_reply *reply)
{
	struct step *step = data;
	struct registration *r = step->r;
	const char *pred = step->pred->id;

	free(step);
	if (registration_failed(r, reply) || !fleet_says(reply, "ended")) {
		step_done(r);
		return;
	}
	struct fleet_end e = {store_text_at(reply, 1), store_text_at(reply, 2), "", "", "", ""};
	fleet_resolve(r->fleet, r->id, r->run, pred, &e, NULL, on_resolved, r);
}

void registration_watch(struct registration *r, const struct pred *pred, store_done *done, void *data)
{
	const struct store_arg args[] = {STORE_TEXT(r->id), STORE_TEXT(pred->when)};
	store_script(r->fleet->store, "watch", pred->id, NULL, args, 2, done, data);
}

/* A hundred at a time: when one is answered the next is asked. */
static void watch_some(struct registration *r)
{
	while (r->open < FLEET_BATCH && r->next < r->count) {
		struct step *step = xmalloc(sizeof *step);
		*step = (struct step){r, &r->preds[r->next++]};
		r->open++;
		registration_watch(r, step->pred, on_watched, step);
	}
}

static void watch_all(struct registration *r)
{
	r->open = 1; /* held until the first are sent */
	step_done(r);
}

static void read_on(struct registration *r);

/* What waits in Redis counts, not the message: a retried job has only what was not met, a joined one its holder. An
 * entry may come twice, which does no harm. */
static void on_waiting(void *data, const struct store_reply *reply)
{
	struct registration *r = data;
	const struct store_reply *entries = store_reply_at(reply, 1);

	if (registration_failed(r, reply)) {
		registration_give_up(r);
		return;
	}
	for (size_t i = 0; i + 1 < store_reply_count(entries); i += 2) {
		const char *when = store_text_at(entries, i + 1);
		if (strcmp(store_text_at(entries, i), "~") != 0 && strcmp(when, "duplicate") != 0)
			registration_add_pred(r, store_text_at(entries, i), when);
	}
	if (store_cursor_move(r->fleet->store, &r->cursor, store_text_at(reply, 0)))
		read_on(r);
	else
		watch_all(r);
}

static void read_on(struct registration *r)
{
	store_format(r->fleet->store, on_waiting, r, "HSCAN %k %s COUNT %d", KEY_WAITING, r->id, r->cursor.at,
		     (int64_t)FLEET_ENTRIES);
}

static void read_waiting(void *data)
{
	struct registration *r = data;

	preds_clear(r);
	store_cursor_begin(r->fleet->store, &r->cursor);
	read_on(r);
}

void registration_watch_all(struct registration *r)
{
	if (r->count > FLEET_ENTRIES && !r->full) {
		registration_fill(r);
	} else if (r->fresh && !r->holder && r->count > 0) {
		r->fresh = false;
		watch_all(r);
	} else if (r->revive) {
		r->revive = false;
		fleet_revive(r->fleet, r->id, read_waiting, r);
	} else {
		read_waiting(r);
	}
}

/* --- from what is stored --- */

void registration_take_job(struct registration *r, const struct job *job)
{
	r->run = xstrdup(job->run ? job->run : "");
	r->dedup = job->dedup ? xstrdup(job->dedup) : NULL;
	r->reuse = job->reuse;
	for (size_t i = 0; i < job->after_count; i++)
		registration_add_pred(r, job->after[i].id, job_when_name(job->after[i].when));
}

static void on_stored(void *data, const struct store_reply *reply)
{
	struct registration *r = data;
	size_t len;
	const char *spec = store_reply_text(reply, &len);
	struct job job;
	struct err err;

	if (store_reply_nil(reply)) {
		registration_end(r, "", "Redis does not know it any more: submit it again");
		return;
	}
	if (job_decode_spec(&job, spec, len, r->id, NULL, NULL, r->fleet->limits, &err) < 0) {
		registration_end(r, "", err.text);
		return;
	}
	registration_take_job(r, &job);
	job_release(&job);
	registration_take_key(r);
}

void registration_from_stored(struct registration *r)
{
	preds_clear(r);
	free(r->run);
	free(r->dedup);
	free(r->stale); /* it may live again */
	free(r->stale_tenure);
	r->run = r->dedup = r->stale = r->stale_tenure = NULL;
	r->watched = false;
	r->fresh = r->full = false;
	store_format(r->fleet->store, on_stored, r, "GET %k", KEY_SPEC, r->id);
}

void fleet_register(struct fleet *fleet, const char *id, int64_t epoch, bool revive, void (*done)(void *data),
		    void *data)
{
	struct registration *r = registration_new(fleet, id);

	r->epoch = epoch;
	r->revive = revive;
	r->owe = true;
	r->done = done;
	r->data = data;
	registration_from_stored(r);
}
