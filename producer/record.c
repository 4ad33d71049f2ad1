#include "record.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/duration.h"

enum field_kind { TEXT, NUMBER, COUNT /* 0 where absent */, JSON };

static const struct {
	const char *name;
	enum field_kind kind;
} fields[] = {
	{"state", TEXT},        {"task", TEXT},       {"pool", TEXT},         {"priority", TEXT},
	{"attempt", COUNT},     {"failures", COUNT},  {"lost", COUNT},        {"epoch", COUNT},
	{"retries", COUNT},     {"pending", COUNT},   {"created_at", NUMBER}, {"queued_at", NUMBER},
	{"started_at", NUMBER}, {"ended_at", NUMBER}, {"due_at", NUMBER},     {"expires_at", NUMBER},
	{"cancel_at", NUMBER},  {"worker", TEXT},     {"dir", TEXT},          {"run", TEXT},
	{"labels", JSON},       {"reason", TEXT},     {"error", TEXT},        {"exit_code", NUMBER},
	{"via", TEXT},          {"user", TEXT},       {"duplicate_of", TEXT}, {"progress", JSON},
};

const char *record_text(const struct store_reply *record, const char *name)
{
	const char *text = store_field(record, name);
	return text ? text : "";
}

int64_t record_int(const struct store_reply *record, const char *name, int64_t none)
{
	const char *text = store_field(record, name);
	return text && *text ? strtoll(text, NULL, 10) : none;
}

int record_state(const struct store_reply *record)
{
	const char *state = record_text(record, "state");
	return job_state_parse(state, strlen(state));
}

bool record_ended(const struct store_reply *record)
{
	int state = record_state(record);
	return state >= 0 && job_state_ended((enum job_state)state);
}

/* Text from outside need not be UTF-8 or JSON. */
static json_t *text_json(const char *text)
{
	json_t *value = json_string(text);
	return value ? value : json_string("?");
}

static json_t *parsed(const char *text)
{
	json_t *value = json_loads(text, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
	return value ? value : text_json(text);
}

static json_t *field_json(const char *text, enum field_kind kind)
{
	if (!text || !*text)
		return kind == COUNT ? json_integer(0) : json_null();
	switch (kind) {
	case TEXT: return text_json(text);
	case JSON: return parsed(text);
	default: return json_integer(strtoll(text, NULL, 10));
	}
}

json_t *record_json(const char *id, const struct store_reply *record, const char *result)
{
	json_t *job = json_object();

	json_object_set_new(job, "id", text_json(id));
	for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
		json_object_set_new(job, fields[i].name,
				    field_json(store_field(record, fields[i].name), fields[i].kind));
	if (result)
		json_object_set_new(job, "result", parsed(result));
	return job;
}

static const struct {
	enum job_reason reason;
	const char *words;
} reason_words[] = {
	{JOB_REASON_TIMEOUT, "it took longer than its timeout and was ended"},
	{JOB_REASON_ERROR, "it reported an error or could not be started"},
	{JOB_REASON_RESULT, "it wrote a result that is no JSON, or too large"},
	{JOB_REASON_BAD_ARGUMENT, "its arguments are not what its handler takes"},
	{JOB_REASON_UNKNOWN_TASK, "no worker of its pool has a handler for its task"},
	{JOB_REASON_NOT_ALLOWED, "no worker of its pool may run it (exec needs --allow-exec)"},
	{JOB_REASON_UNSIGNED, "it came by the queue of another pool, and its own takes signed jobs only"},
	{JOB_REASON_POISON, "too many workers were lost while they ran it"},
	{JOB_REASON_PREDECESSOR, "a predecessor did not end as asked"},
	{JOB_REASON_EXPIRED, "its deadline passed before it could start"},
	{JOB_REASON_CANCELLED, "it was cancelled"},
};

void record_reason(const struct store_reply *record, struct buf *ret)
{
	const char *reason = record_text(record, "reason");

	if (strcmp(reason, "exit") == 0 && !store_field(record, "exit_code")) {
		buf_adds(ret, "the runner that had it ended");
		return;
	}
	if (strcmp(reason, "exit") == 0) {
		buf_addf(ret, "its program exited with status %lld", (long long)record_int(record, "exit_code", 0));
		return;
	}
	if (strcmp(reason, "signal") == 0) {
		buf_adds(ret, "its program was killed by a signal");
		return;
	}
	for (size_t i = 0; i < sizeof reason_words / sizeof *reason_words; i++)
		if (strcmp(reason, job_reason_name(reason_words[i].reason)) == 0) {
			buf_adds(ret, reason_words[i].words);
			return;
		}
	buf_adds(ret, *reason ? reason : "no reason is recorded");
}

void age_format(int64_t now, int64_t then, char *text)
{
	if (then <= 0)
		snprintf(text, DURATION_TEXT, "-");
	else
		duration_format(now > then ? now - then : 0, text);
}
