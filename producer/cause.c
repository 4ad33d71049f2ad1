#include "cause.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "record.h"

#define CHAIN_MAX 10000

size_t when_length(const char *when) { return strcspn(when, "@"); }

void cause_release(struct cause *cause)
{
	for (size_t i = 0; i < cause->count; i++) {
		free(cause->steps[i].id);
		free(cause->steps[i].state);
		free(cause->steps[i].when);
	}
	free(cause->steps);
	*cause = (struct cause){0};
}

const char *cause_to_retry(const struct cause *cause)
{
	const struct cause_step *last = cause->count ? &cause->steps[cause->count - 1] : NULL;

	if (!last || (strcmp(last->state, "failed") != 0 && strcmp(last->state, "cancelled") != 0 &&
		      strcmp(last->state, "expired") != 0))
		return NULL;
	return last->id;
}

struct culprit {
	struct session *session;
	struct err *err;
	const struct store_reply *waiting; /* a batch */
	struct cause_step found;
	int64_t ended_at; /* of the one found; the first that ended is why */
};

static void on_predecessor(void *data, size_t index, const struct store_reply *record)
{
	struct culprit *culprit = data;
	const char *when = store_text_at(culprit->waiting, 2 * index + 1), *state = record_text(record, "state");
	size_t len = when_length(when);
	int64_t ended_at = record_int(record, "ended_at", 0);

	if (!record_ended(record) || strncmp(when, "ended", len) == 0 ||
	    (strlen(state) == len && strncmp(when, state, len) == 0))
		return;
	if (culprit->found.id && culprit->ended_at <= ended_at)
		return;
	free(culprit->found.id);
	free(culprit->found.state);
	free(culprit->found.when);
	culprit->found = (struct cause_step){xstrdup(store_text_at(culprit->waiting, 2 * index)), xstrdup(state),
					     xmemdup0(when, len)};
	culprit->ended_at = ended_at;
}

static bool on_batch(void *data, const struct store_reply *batch)
{
	struct culprit *culprit = data;
	size_t count = store_reply_count(batch) / 2;
	CLEANUP(freep) const char **ids = xcalloc(count + 1, sizeof *ids);

	culprit->waiting = batch;
	for (size_t i = 0; i < count; i++)
		ids[i] = store_text_at(batch, 2 * i);
	return session_each(culprit->session, "HGETALL", KEY_JOB, ids, count, on_predecessor, culprit, culprit->err) ==
	       0;
}

/* The predecessor that `id` was skipped for; `ret->id` stays NULL where it cannot be found any more. */
static int find_culprit(struct session *session, const char *id, struct cause_step *ret, struct err *err)
{
	struct culprit culprit = {.session = session, .err = err};
	int r;

	err->code = 0;
	r = session_scan(session, "HSCAN", KEY_WAITING, id, on_batch, &culprit, err);
	*ret = culprit.found;
	return r < 0 ? r : err->code;
}

/* One that joined another was skipped for what that one was skipped for: `*at` becomes the other's id. */
static int follow_join(struct session *session, char **at, struct err *err)
{
	CLEANUP(store_reply_freep) struct store_reply *record = session_ask(session, "HGETALL", KEY_JOB, *at, err);
	const char *holder;

	if (!record)
		return err->code;
	holder = record_text(record, "duplicate_of");
	if (*holder) {
		free(*at);
		*at = xstrdup(holder);
	}
	return 0;
}

int cause_find(struct session *session, const char *id, struct cause *ret, struct err *err)
{
	CLEANUP(freep) char *at = xstrdup(id);

	*ret = (struct cause){0};
	do {
		struct cause_step step = {0};
		if (follow_join(session, &at, err) < 0 || find_culprit(session, at, &step, err) < 0)
			return err->code;
		if (!step.id)
			break;
		ret->steps = xrealloc(ret->steps, (ret->count + 1) * sizeof *ret->steps);
		ret->steps[ret->count++] = step;
		free(at);
		at = xstrdup(step.id);
	} while (strcmp(ret->steps[ret->count - 1].state, "skipped") == 0 && ret->count < CHAIN_MAX);
	return 0;
}
