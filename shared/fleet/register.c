/* Registration, in steps that can each be done twice and in any company:
 *
 *   admit      the record, the spec, the guard, the entry in settling          (jobs that wait for nothing are done here)
 *   dedup      take the key; held by another that lives: wait for it alone     (join), then watch it
 *   revive     of a job that was retried: whom it let be skipped lives again
 *   watch      each predecessor; one that has ended already is resolved at once
 *   register   the guard goes, and with the last predecessor gone the job is ready
 */
#include <inttypes.h>
#include <stdio.h>

#include "fleet/internal.h"
#include "fleet/reply_entry.h"
#include "job/json.h"

struct pred {
	char *id;
	const char *when;
};

struct registration {
	struct fleet *fleet;
	char *id, *run, *dedup, *holder; /* holder: the job that this one joins, NULL for none */
	char *stale;			 /* a holder that was found ended or gone */
	bool reuse, owe, revive, known, fresh;
	struct pred *preds;
	size_t count, next, open;
	fleet_admitted *admitted;
	void (*done)(void *data);
	void *data;
};

struct step {
	struct registration *r;
	const struct pred *pred;
};

static void take_key(struct registration *r);
static void watch_batch(struct registration *r);
static void from_stored(struct registration *r);

static void preds_clear(struct registration *r)
{
	for (size_t i = 0; i < r->count; i++)
		free(r->preds[i].id);
	free(r->preds);
	r->preds = NULL;
	r->count = r->next = 0;
}

static void end(struct registration *r, const char *state, const char *error)
{
	struct fleet_admission admission = {r->known, state, error};

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
	free(r->stale);
	free(r);
}

static struct registration *registration_new(struct fleet *fleet, const char *id)
{
	struct registration *r = xcalloc(1, sizeof *r);

	r->fleet = fleet;
	r->id = xstrdup(id);
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

static void add_pred(struct registration *r, const char *id, const char *when)
{
	r->preds = xrealloc(r->preds, (r->count + 1) * sizeof *r->preds);
	r->preds[r->count++] = (struct pred){xstrdup(id), plain_when(when)};
}

/* --- register --- */

static void on_guard_gone(void *data, const struct store_reply *reply)
{
	struct registration *r = data;
	char state[24];

	if (fleet_says(reply, "redo")) {
		from_stored(r);
		return;
	}
	fleet_follow(r->fleet, r->id, r->run, reply);
	snprintf(state, sizeof state, "%s", store_text_at(reply, 1));
	end(r, state, store_reply_error(reply));
}

static void take_guard_away(struct registration *r)
{
	const struct store_arg args[] = {STORE_TEXT(r->holder ? r->holder : "")};
	store_script(r->fleet->store, "register", r->id, r->run, args, 1, on_guard_gone, r);
}

/* --- watch --- */

static void step_done(struct registration *r)
{
	if (--r->open > 0)
		return;
	if (r->next < r->count)
		watch_batch(r);
	else
		take_guard_away(r);
}

static void on_resolved(void *data, const struct store_reply *reply)
{
	struct registration *r = data;

	fleet_follow(r->fleet, r->id, r->run, reply);
	step_done(r);
}

static void on_watched(void *data, const struct store_reply *reply)
{
	struct step *step = data;
	struct registration *r = step->r;
	const char *pred = step->pred->id;

	free(step);
	if (!fleet_says(reply, "ended")) {
		step_done(r);
		return;
	}
	struct fleet_end e = {store_text_at(reply, 1), store_text_at(reply, 2), "", "", "", ""};
	fleet_resolve(r->fleet, r->id, r->run, pred, &e, on_resolved, r);
}

static void watch(struct registration *r, const struct pred *pred, store_done *done, void *data)
{
	const struct store_arg args[] = {STORE_TEXT(r->id), STORE_TEXT(pred->when)};
	store_script(r->fleet->store, "watch", pred->id, NULL, args, 2, done, data);
}

static void watch_batch(struct registration *r)
{
	r->open = 1; /* held until the whole batch is sent */
	for (size_t i = 0; i < FLEET_BATCH && r->next < r->count; i++) {
		struct step *step = xmalloc(sizeof *step);
		*step = (struct step){r, &r->preds[r->next++]};
		r->open++;
		watch(r, step->pred, on_watched, step);
	}
	step_done(r);
}

/* What waits in Redis counts, not the message: a retried job has only what was not met, a joined one its holder. */
static void on_waiting(void *data, const struct store_reply *reply)
{
	struct registration *r = data;

	preds_clear(r);
	for (size_t i = 0; i + 1 < store_reply_count(reply); i += 2) {
		const char *when = store_text_at(reply, i + 1);
		if (strcmp(store_text_at(reply, i), "~") != 0 && strcmp(when, "duplicate") != 0)
			add_pred(r, store_text_at(reply, i), when);
	}
	watch_batch(r);
}

static void read_waiting(void *data)
{
	struct registration *r = data;
	store_format(r->fleet->store, on_waiting, r, "HGETALL %k", KEY_WAITING, r->id);
}

static void watch_all(struct registration *r)
{
	if (r->fresh && !r->holder && r->count > 0) {
		r->fresh = false;
		watch_batch(r);
	} else if (r->revive) {
		r->revive = false;
		fleet_revive(r->fleet, r->id, read_waiting, r);
	} else {
		read_waiting(r);
	}
}

/* --- dedup --- */

static void on_joined_resolved(void *data, const struct store_reply *reply)
{
	struct registration *r = data;

	fleet_follow(r->fleet, r->id, r->run, reply);
	take_guard_away(r);
}

static void on_holder_detail(void *data, const struct store_reply *reply)
{
	struct registration *r = data;
	struct fleet_end e = {store_text_at(reply, 4), store_text_at(reply, 8), store_text_at(reply, 0),
			      store_text_at(reply, 1), store_text_at(reply, 2), store_text_at(reply, 3)};

	fleet_resolve(r->fleet, r->id, r->run, r->holder, &e, on_joined_resolved, r);
}

static void on_holder_watched(void *data, const struct store_reply *reply)
{
	struct registration *r = data;

	if (fleet_says(reply, "live")) {
		take_guard_away(r);
	} else if (r->reuse && fleet_says(reply, "ended") && strcmp(store_text_at(reply, 1), "succeeded") == 0) {
		store_script(r->fleet->store, "detail", r->holder, NULL, NULL, 0, on_holder_detail, r);
	} else {
		free(r->stale);
		r->stale = r->holder;
		r->holder = NULL;
		take_key(r);
	}
}

static void on_join(void *data, const struct store_reply *reply)
{
	struct registration *r = data;

	(void)reply; /* 'late': somebody else has finished it; register.lua will say so */
	if (r->holder) {
		const struct pred holder = {r->holder, "duplicate"};
		watch(r, &holder, on_holder_watched, r);
	} else {
		watch_all(r);
	}
}

/* The job's own predecessors come from its spec: a join that is taken back puts them in waiting again. */
static void join(struct registration *r)
{
	struct store_arg *args = xcalloc(1 + 2 * r->count, sizeof *args);
	size_t n = 0;

	args[n++] = STORE_TEXT(r->holder ? r->holder : "");
	for (size_t i = 0; i < r->count && !r->holder; i++) {
		args[n++] = STORE_TEXT(r->preds[i].id);
		args[n++] = STORE_TEXT(r->preds[i].when);
	}
	store_script(r->fleet->store, "join", r->id, r->run, args, n, on_join, r);
	free(args);
}

static void on_key(void *data, const struct store_reply *reply)
{
	struct registration *r = data;
	const char *holder = store_text_at(reply, 0);

	free(r->holder);
	r->holder = strcmp(holder, r->id) == 0 ? NULL : xstrdup(holder);
	join(r);
}

static void take_key(struct registration *r)
{
	const struct store_arg args[] = {STORE_TEXT("take"), STORE_TEXT(r->id), STORE_TEXT(r->stale ? r->stale : "")};

	if (!r->dedup)
		watch_all(r);
	else
		store_script(r->fleet->store, "dedup", r->dedup, NULL, args, 3, on_key, r);
}

/* --- from what is stored --- */

static void take_job(struct registration *r, const struct job *job)
{
	r->run = xstrdup(job->run ? job->run : "");
	r->dedup = job->dedup ? xstrdup(job->dedup) : NULL;
	r->reuse = job->reuse;
	for (size_t i = 0; i < job->after_count; i++)
		add_pred(r, job->after[i].id, job_when_name(job->after[i].when));
}

static void on_stored(void *data, const struct store_reply *reply)
{
	struct registration *r = data;
	size_t len;
	const char *spec = store_reply_text(reply, &len);
	struct job job;
	struct err err;

	if (job_decode_spec(&job, spec, len, r->id, NULL, NULL, r->fleet->limits, &err) < 0) {
		end(r, "", err.text);
		return;
	}
	take_job(r, &job);
	job_release(&job);
	take_key(r);
}

static void from_stored(struct registration *r)
{
	preds_clear(r);
	free(r->run);
	free(r->dedup);
	r->run = r->dedup = NULL;
	store_format(r->fleet->store, on_stored, r, "GET %k", KEY_SPEC, r->id);
}

void fleet_register(struct fleet *fleet, const char *id, bool revive, void (*done)(void *data), void *data)
{
	struct registration *r = registration_new(fleet, id);

	r->revive = revive;
	r->owe = true;
	r->done = done;
	r->data = data;
	from_stored(r);
}

/* --- admit --- */

static void known(struct registration *r, const struct store_reply *reply)
{
	char state[24];

	r->known = true;
	snprintf(state, sizeof state, "%s", store_text_at(reply, 1));
	if (store_int_at(reply, 3))
		fleet_reply(r->fleet, r->id);
	if (store_int_at(reply, 2) == 0) {
		end(r, state, NULL);
		return;
	}
	from_stored(r);
}

static void on_admitted(void *data, const struct store_reply *reply)
{
	struct registration *r = data;
	char state[24];

	if (store_reply_error(reply)) {
		end(r, "", store_reply_error(reply));
		return;
	}
	if (fleet_says(reply, "known")) {
		known(r, reply);
		return;
	}
	snprintf(state, sizeof state, "%s", store_text_at(reply, 1));
	if (strcmp(state, "waiting") == 0) {
		r->fresh = true;
		take_key(r);
		return;
	}
	if (strcmp(state, "queued") == 0 && r->owe)
		fleet_invite(r->fleet, r->id, store_text_at(reply, 2), store_text_at(reply, 3));
	end(r, state, NULL);
}

static struct store_arg number(char *text, size_t size, int64_t value)
{
	snprintf(text, size, "%" PRId64, value);
	return STORE_TEXT(value < 0 ? "" : text);
}

static void add_labels(struct buf *ret, const struct job *job)
{
	if (job->label_count == 0)
		return;
	for (size_t i = 0; i < job->label_count; i++) {
		buf_adds(ret, i ? "," : "{");
		json_add_string(ret, job->labels[i].key, strlen(job->labels[i].key));
		buf_adds(ret, ":");
		json_add_string(ret, job->labels[i].value, strlen(job->labels[i].value));
	}
	buf_adds(ret, "}");
}

void fleet_admit_args(const struct job *job, struct fleet_admit_text *text)
{
	text->keep = number(text->numbers[0], sizeof text->numbers[0], job->keep_s == 86400 ? -1 : job->keep_s);
	text->retries = number(text->numbers[1], sizeof text->numbers[1], job->retries);
	add_labels(&text->labels_buf, job);
	text->labels = STORE_BYTES(text->labels_buf.data ? text->labels_buf.data : "", text->labels_buf.len);
	if (job->reply_to)
		reply_entry_encode(&text->reply_buf, job->reply_to, job->correlation_id ? job->correlation_id : "",
				   job->correlation_len);
	text->reply = STORE_BYTES(text->reply_buf.data ? text->reply_buf.data : "", text->reply_buf.len);
	text->encoding = STORE_TEXT(job->encoding == JOB_JSON ? "json" : "msgpack");
}

void fleet_admit_release(struct fleet_admit_text *text)
{
	buf_release(&text->labels_buf);
	buf_release(&text->reply_buf);
}

void fleet_admit(struct fleet *fleet, const struct job *job, bool owe, fleet_admitted *done, void *data)
{
	struct registration *r = registration_new(fleet, job->id);
	struct fleet_admit_text text = {.labels_buf = BUF_INIT, .reply_buf = BUF_INIT};
	struct store_arg *args = xcalloc(16 + 2 * job->after_count, sizeof *args);
	char n[4][24];
	size_t i = 0;

	r->owe = owe;
	r->admitted = done;
	r->data = data;
	take_job(r, job);
	fleet_admit_args(job, &text);
	args[i++] = STORE_TEXT(job->task);
	args[i++] = STORE_TEXT(job->pool);
	args[i++] = STORE_TEXT(job->priority);
	args[i++] = STORE_BYTES(job->spec, job->spec_len);
	args[i++] = STORE_TEXT(owe ? "1" : "0");
	args[i++] = number(n[0], sizeof n[0], job->delay_ms);
	args[i++] = number(n[1], sizeof n[1], job->run_at);
	args[i++] = number(n[2], sizeof n[2], job->expires_at);
	args[i++] = text.keep;
	args[i++] = text.retries;
	args[i++] = text.labels;
	args[i++] = STORE_TEXT(job->dedup ? job->dedup : "");
	args[i++] = text.reply;
	args[i++] = text.encoding;
	for (size_t a = 0; a < r->count; a++) {
		args[i++] = STORE_TEXT(r->preds[a].id);
		args[i++] = STORE_TEXT(r->preds[a].when);
	}
	store_script(fleet->store, "admit", job->id, job->run, args, i, on_admitted, r);
	free(args);
	fleet_admit_release(&text);
}
