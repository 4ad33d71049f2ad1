/* The record, the keys beside it, and how long they are kept. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "doctor/doctor.h"

static const char *const key_names[] = {"the record", "spec", "result", "output", "waiting", "dependents", "replies"};

/* What is beside a record that is not there; not the dependents, which may wait for it to come. What has an expiry goes
 * by itself. */
static void check_left_over(const struct view *view, struct findings *into)
{
	static const enum view_key keys[] = {HAS_SPEC, HAS_RESULT, HAS_OUTPUT, HAS_WAITING, HAS_REPLIES};
	CLEANUP(buf_release) struct buf names = BUF_INIT;

	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
		if (view_goes(view, keys[i]) == -1)
			buf_addf(&names, "%s%s", names.len ? ", " : "", key_names[keys[i]]);
	if (names.len)
		found(into, KIND_LEFT_OVER, view->id, names.data,
		      "there is no record of it, but these keys are there: %s", names.data);
}

static void check_live(const struct view *view, struct findings *into)
{
	static const enum view_key keys[] = {HAS_JOB,     HAS_SPEC, HAS_WAITING, HAS_DEPENDENTS,
					     HAS_REPLIES, HAS_RUN,  HAS_RUN_JOBS};
	const char *run = view_text(view, VIEW_RUN);

	if (view_goes(view, HAS_SPEC) == -2)
		found(into, KIND_SPEC_MISSING, view->id, view->sign, "it is %s and its spec is not there",
		      view_text(view, VIEW_STATE));
	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
		if (view_goes(view, keys[i]) >= 0 && (keys[i] < HAS_RUN || *run)) {
			found(into, KIND_LIVE_EXPIRY, view->id, view->sign,
			      "it is %s, and %s has an expiry: it would go while the job lives",
			      view_text(view, VIEW_STATE), keys[i] < HAS_RUN ? key_names[keys[i]] : "its run");
			return;
		}
}

static void check_ended(const struct view *view, struct findings *into)
{
	int64_t goes = view_goes(view, HAS_JOB);

	if (view_listed(view, IN_SETTLING) >= 0 || view_replies(view) > 0) {
		if (goes >= 0 || view_goes(view, HAS_SPEC) >= 0)
			found(into, KIND_LIVE_EXPIRY, view->id, view->sign,
			      "its end is not told to all who are owed it, and its record has an expiry");
		return;
	}
	if (goes == -1) {
		found(into, KIND_KEPT_FOR_EVER, view->id, view->sign,
		      "it has ended (%s), nothing is owed any more, and its record has no expiry",
		      view_text(view, VIEW_STATE));
		return;
	}
	for (int key = HAS_SPEC; key <= HAS_DEPENDENTS; key++)
		if (view_goes(view, (enum view_key)key) != -2 && view_goes(view, (enum view_key)key) != goes) {
			found(into, KIND_UNEVEN_EXPIRY, view->id, view->sign, "its %s does not go when its record goes",
			      key_names[key]);
			return;
		}
}

static const char *what_is_bad(const struct view *view)
{
	if (view->state < 0)
		return "its state is none of the nine";
	if (view->ended != (view_text(view, VIEW_ENDED_AT)[0] != '\0'))
		return view->ended ? "it has ended, and there is no ended_at"
				   : "it has not ended, and there is an ended_at";
	if (!view_text(view, VIEW_TASK)[0])
		return "there is no task";
	if (!view_text(view, VIEW_POOL)[0] || !view_text(view, VIEW_PRIORITY)[0])
		return "there is no pool, or no priority";
	return NULL;
}

void check_record(const struct view *view, struct findings *into)
{
	const char *error = store_reply_error(view->reply), *bad;

	if (!error && view_goes(view, HAS_JOB) == -2) {
		check_left_over(view, into);
		return;
	}
	bad = error ? error : what_is_bad(view);
	if (bad) {
		found(into, KIND_BAD_RECORD, view->id, bad, "its record is none that a worker can read: %s", bad);
		return;
	}
	if (view->live)
		check_live(view, into);
	else
		check_ended(view, into);
	if (*view_text(view, VIEW_RUN) && !view_member(view))
		found(into, KIND_NOT_A_MEMBER, view->id, view->sign, "it is of the run %s, whose set does not have it",
		      view_text(view, VIEW_RUN));
}
