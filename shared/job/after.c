/* The field `after`: what a job waits for. */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "job/decode.h"
#include "job/quote.h"

struct place {
	struct decode *decode;
	const struct job_field *field;
	size_t entry; /* from 1 */
};

static bool is(const struct mp_value *value, const char *word)
{
	return value->len == strlen(word) && memcmp(value->text, word, value->len) == 0;
}

static int take_id(const struct place *place, const struct mp_value *value, struct job_dep *dep)
{
	char text[QUOTE_TEXT];

	if (value->type != MP_TEXT)
		return job_field_error(place->decode, place->field, "entry %zu: an id must be text, not %s",
				       place->entry, mp_describe(value->type));
	if (!job_id_valid(value->text, value->len))
		return job_field_error(place->decode, place->field,
				       "entry %zu: \"%s\" is no id: 1 to 200 characters of A-Za-z0-9._/@+=,-",
				       place->entry, quote_text(text, value->text, value->len));
	dep->id = job_keep_text(place->decode, value->text, value->len);
	return 0;
}

static int take_when(const struct place *place, const struct mp_value *value, struct job_dep *dep)
{
	int when = value->type == MP_TEXT ? job_when_parse(value->text, value->len) : -1;

	if (when < 0)
		return job_field_error(place->decode, place->field,
				       "entry %zu: `when` must be succeeded, failed or ended", place->entry);
	dep->when = (enum job_when)when;
	return 0;
}

static int take_pair(const struct place *place, struct mp_cursor *cursor, struct job_dep *dep)
{
	struct mp_value key, value;
	char text[QUOTE_TEXT];

	mp_next(cursor, &key);
	if (!is(&key, "id") && !is(&key, "when"))
		return job_field_error(place->decode, place->field,
				       "entry %zu: unknown key `%s`; an entry has `id` and `when`", place->entry,
				       quote_text(text, key.text, key.len));
	mp_next(cursor, &value);
	if (value.type == MP_NIL)
		return 0;
	return is(&key, "id") ? take_id(place, &value, dep) : take_when(place, &value, dep);
}

static int take_map(const struct place *place, struct mp_cursor *cursor, size_t pairs, struct job_dep *dep)
{
	while (pairs-- > 0)
		if (take_pair(place, cursor, dep))
			return ERR_INPUT;
	if (!dep->id)
		return job_field_error(place->decode, place->field, "entry %zu: has no `id`", place->entry);
	return 0;
}

int job_take_after(struct decode *decode, const struct job_field *field)
{
	struct found *found = job_found(decode, field);
	struct mp_cursor cursor = {found->inside, found->inside, found->end};
	struct place place = {decode, field, 0};

	if (found->value.type != MP_ARRAY)
		return job_field_error(decode, field, "must be a list of ids or of {id, when}, not %s",
				       mp_describe(found->value.type));
	decode->job.after = job_keep_array(decode, found->value.count * sizeof(struct job_dep));
	decode->job.after_count = found->value.count;
	for (size_t i = 0; i < found->value.count; i++) {
		struct job_dep *dep = &decode->job.after[i];
		struct mp_value value;
		int error;

		*dep = (struct job_dep){NULL, JOB_WHEN_SUCCEEDED};
		place.entry = i + 1;
		mp_next(&cursor, &value);
		error = value.type == MP_MAP ? take_map(&place, &cursor, value.count, dep)
					     : take_id(&place, &value, dep);
		if (error)
			return error;
	}
	return 0;
}

/* By id; of one id the first in the list first. */
static int compare(const void *left, const void *right)
{
	const struct job_dep *a = *(struct job_dep *const *)left;
	const struct job_dep *b = *(struct job_dep *const *)right;
	int order = strcmp(a->id, b->id);
	return order ? order : (a > b) - (a < b);
}

/* Marks what is there twice by a NULL id. */
static int mark_twice(struct decode *decode, struct job_dep **sorted, size_t count)
{
	struct job_dep *kept = sorted[0];

	for (size_t i = 1; i < count; i++) {
		if (strcmp(kept->id, sorted[i]->id) != 0) {
			kept = sorted[i];
			continue;
		}
		if (kept->when != sorted[i]->when)
			return err_set(decode->err, ERR_INPUT,
				       "field `after`: names `%s` twice, with two different `when` (%s and %s)",
				       kept->id, job_when_name(kept->when), job_when_name(sorted[i]->when));
		sorted[i]->id = NULL;
	}
	return 0;
}

static void squeeze(struct job *job)
{
	size_t kept = 0;
	for (size_t i = 0; i < job->after_count; i++)
		if (job->after[i].id)
			job->after[kept++] = job->after[i];
	job->after_count = kept;
}

int job_settle_after(struct decode *decode)
{
	struct job_dep *few[16];
	struct job *job = &decode->job;
	struct job_dep **sorted = few;
	int error;

	for (size_t i = 0; i < job->after_count; i++)
		if (job->id && strcmp(job->id, job->after[i].id) == 0)
			return err_set(decode->err, ERR_INPUT, "field `after`: the job would wait for itself (`%s`)",
				       job->id);
	if (job->after_count < 2)
		return 0;
	if (job->after_count > sizeof few / sizeof *few)
		sorted = xmalloc(job->after_count * sizeof(struct job_dep *));
	for (size_t i = 0; i < job->after_count; i++)
		sorted[i] = &job->after[i];
	qsort(sorted, job->after_count, sizeof(struct job_dep *), compare);
	error = mark_twice(decode, sorted, job->after_count);
	if (sorted != few)
		free(sorted);
	if (!error)
		squeeze(job);
	return error;
}
