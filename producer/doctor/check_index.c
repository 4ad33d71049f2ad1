/* Each index against the record, both ways; and what is overdue because nobody does it. */
#include <inttypes.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/duration.h"
#include "doctor/doctor.h"
#include "record.h"

#define OVERDUE_MS 60000   /* caretakers come by within seconds */
#define LEASES_MISSED 2    /* a caretaker takes a lease away within two of them */
#define OLD_REPLY_MS 30000 /* a reply of a job that lives again is struck off when the caretaker comes by */

static void ago(const struct view *view, enum view_index index, char *text)
{
	age_format(view->now_ms, view_listed(view, index), text);
}

static void stray(const struct view *view, enum view_index index, enum doctor_kind kind, bool fits, const char *name,
		  struct findings *into)
{
	if (fits || view_listed(view, index) < 0)
		return;
	if (view->state < 0)
		found(into, kind, view->id, view->sign, "it is listed in %s, and there is no record of it", name);
	else
		found(into, kind, view->id, view->sign, "it is listed in %s, and is %s", name,
		      view_text(view, VIEW_STATE));
}

static void missing(const struct view *view, enum view_index index, enum doctor_kind kind, const char *why,
		    struct findings *into)
{
	if (view_listed(view, index) < 0)
		found(into, kind, view->id, view->sign, "%s", why);
}

static void overdue(const struct view *view, enum view_index index, enum doctor_kind kind, const char *what,
		    struct findings *into)
{
	char span[DURATION_TEXT], sign[160];

	if (view_listed(view, index) < 0 || view->now_ms - view_listed(view, index) < OVERDUE_MS)
		return;
	ago(view, index, span);
	snprintf(sign, sizeof sign, "%s/%" PRId64, view->sign, view_listed(view, index));
	found(into, kind, view->id, sign, "%s for %s, and nobody does it", what, span);
}

static void check_lease(const struct view *view, struct findings *into)
{
	int64_t lease = view_listed(view, IN_LEASES);
	CLEANUP(buf_release) struct buf sign = BUF_INIT;
	char span[DURATION_TEXT];

	stray(view, IN_LEASES, KIND_LEASE_STRAY, view->state == JOB_RUNNING, "leases", into);
	if (view->state != JOB_RUNNING)
		return;
	missing(view, IN_LEASES, KIND_LEASE_MISSING,
		"it is running, and has no lease: should its worker die, nobody would notice", into);
	if (lease < 0 || view->now_ms - lease < LEASES_MISSED * view->lease_ms)
		return;
	ago(view, IN_LEASES, span);
	buf_addf(&sign, "%" PRId64 " %s %s", lease, view_text(view, VIEW_TOKEN), view_text(view, VIEW_WORKER));
	found(into, KIND_LEASE_EXPIRED, view->id, sign.data,
	      "its lease ran out %s ago, its worker %s has not renewed it, and no "
	      "caretaker has taken it away",
	      span, view_text(view, VIEW_WORKER));
}

static void check_times(const struct view *view, struct findings *into)
{
	bool expires = view->live && view->state != JOB_RUNNING && *view_text(view, VIEW_EXPIRES_AT);

	stray(view, IN_SCHEDULED, KIND_SCHEDULED_STRAY, view->state == JOB_SCHEDULED || view->state == JOB_QUEUED,
	      "scheduled", into);
	if (view->state == JOB_SCHEDULED)
		missing(view, IN_SCHEDULED, KIND_SCHEDULED_MISSING,
			"it is scheduled, and the index does not list it: it would never be due", into);
	if (view->state == JOB_SCHEDULED || view->state == JOB_QUEUED)
		overdue(view, IN_SCHEDULED, KIND_SCHEDULED_OVERDUE, "it has been due", into);
	stray(view, IN_EXPIRING, KIND_EXPIRING_STRAY, expires, "expiring", into);
	if (expires && view_int(view, VIEW_ATTEMPT) == 0 && !*view_text(view, VIEW_DUPLICATE_OF))
		missing(view, IN_EXPIRING, KIND_EXPIRING_MISSING,
			"it has a deadline, and the index does not list it: it would never expire", into);
	if (expires)
		overdue(view, IN_EXPIRING, KIND_EXPIRING_OVERDUE, "its deadline has been over", into);
}

static void check_owed(const struct view *view, struct findings *into)
{
	bool half = view->state == JOB_WAITING && view_guarded(view);
	bool asked = view->ended && view_replies(view) > 0;
	bool young = view->live && view->now_ms - view_listed(view, IN_REPLIES) < OLD_REPLY_MS;

	stray(view, IN_OUTBOX, KIND_OUTBOX_STRAY, view->state == JOB_QUEUED, "outbox", into);
	if (view->state == JOB_QUEUED)
		overdue(view, IN_OUTBOX, KIND_OUTBOX_OVERDUE, "its invitation has been owed", into);
	stray(view, IN_SETTLING, KIND_SETTLING_STRAY, view->ended || half, "settling", into);
	if (half)
		missing(view, IN_SETTLING, KIND_GUARD_UNLISTED,
			"its registration is not finished (the guard ~ is in waiting), and nothing says that it has to "
			"be",
			into);
	if (view->ended || half)
		overdue(view, IN_SETTLING, KIND_SETTLING_OVERDUE,
			half ? "its registration has been unfinished" : "its end has been untold", into);
	stray(view, IN_REPLIES, KIND_REPLIES_STRAY, asked || young, "replies", into);
	if (asked)
		missing(view, IN_REPLIES, KIND_REPLIES_MISSING,
			"it has ended and owes replies, and the index does not list it: nobody would send them", into);
	if (asked)
		overdue(view, IN_REPLIES, KIND_REPLIES_OVERDUE, "its replies have been owed", into);
}

void check_indices(const struct view *view, struct findings *into)
{
	bool known = view_goes(view, HAS_JOB) != -2;

	if (store_reply_error(view->reply) || (known && view->state < 0))
		return; /* check_record has said it */
	check_lease(view, into);
	check_times(view, into);
	check_owed(view, into);
}
