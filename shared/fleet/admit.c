/* Admission: the first step of a registration, from a decoded job. */
#include <inttypes.h>
#include <stdio.h>

#include "fleet/registration.h"
#include "fleet/reply_entry.h"
#include "job/json.h"

static void known(struct registration *r, const struct store_reply *reply)
{
	char state[24];

	r->known = true;
	snprintf(state, sizeof state, "%s", store_text_at(reply, 1));
	if (store_int_at(reply, 3))
		fleet_reply(r->fleet, r->id);
	if (store_int_at(reply, 2) == 0) {
		registration_end(r, state, NULL);
		return;
	}
	r->epoch = store_int_at(reply, 4);
	r->revive = r->epoch > 0;
	registration_from_stored(r);
}

static void foreign(struct registration *r, const char *what)
{
	struct err err;
	bool run = strcmp(what, "run") == 0;

	err_set(&err, ERR_REFUSED, "the %s %s is another user's; name another", what, run ? r->run : r->id);
	r->foreign = true;
	registration_end(r, "", err.text);
}

static void on_admitted(void *data, const struct store_reply *reply)
{
	struct registration *r = data;
	char state[24];

	if (store_reply_error(reply)) {
		registration_end(r, "", store_reply_error(reply));
		return;
	}
	if (fleet_says(reply, "foreign")) {
		foreign(r, store_text_at(reply, 1));
		return;
	}
	if (fleet_says(reply, "known")) {
		known(r, reply);
		return;
	}
	snprintf(state, sizeof state, "%s", store_text_at(reply, 1));
	if (strcmp(state, "waiting") == 0) {
		r->fresh = true;
		registration_take_key(r);
		return;
	}
	if (strcmp(state, "queued") == 0 && r->owe)
		fleet_invite(r->fleet, r->id, store_text_at(reply, 2), store_text_at(reply, 3), store_text_at(reply, 4),
			     store_text_at(reply, 5));
	registration_end(r, state, NULL);
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
	struct store_arg *args;
	char n[4][24];
	size_t i = 0;

	r->owe = owe;
	r->admitted = done;
	r->data = data;
	registration_take_job(r, job);
	args = xcalloc(19 + 2 * registration_first(r), sizeof *args);
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
	args[i++] = STORE_TEXT(job->user ? job->user : "");
	args[i++] = number(n[3], sizeof n[3], registration_first(r) < r->count ? FLEET_ENTRIES : -1);
	args[i++] = STORE_TEXT(job->via ? job->via : "");
	i += registration_args(r, 0, registration_first(r), args + i);
	store_script(fleet->store, "admit", job->id, job->run, args, i, on_admitted, r);
	free(args);
	fleet_admit_release(&text);
}
