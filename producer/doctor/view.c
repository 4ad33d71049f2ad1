/* One job as examine.lua reads it, at one instant. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "doctor/doctor.h"

#define MOST "200" /* entries of `waiting` that come with the rest; more are read by themselves */
#define LEASE_MS 10000

enum part { PART_NOW, PART_FIELDS, PART_GOES, PART_LISTED, PART_SIZES, PART_WAITING, PARTS };
enum size { SIZE_WAITING, SIZE_GUARD, SIZE_REPLIES, SIZE_DEPENDENTS, SIZE_MEMBER };

static const struct store_reply *part(const struct view *view, enum part which)
{
	return store_reply_at(view->reply, which);
}

const char *view_text(const struct view *view, enum view_field field)
{
	return store_text_at(part(view, PART_FIELDS), field);
}
int64_t view_int(const struct view *view, enum view_field field)
{
	return store_int_at(part(view, PART_FIELDS), field);
}
int64_t view_goes(const struct view *view, enum view_key key) { return store_int_at(part(view, PART_GOES), key); }
int64_t view_entries(const struct view *view) { return store_int_at(part(view, PART_SIZES), SIZE_WAITING); }
bool view_guarded(const struct view *view) { return store_int_at(part(view, PART_SIZES), SIZE_GUARD) == 1; }
int64_t view_replies(const struct view *view) { return store_int_at(part(view, PART_SIZES), SIZE_REPLIES); }
int64_t view_dependents(const struct view *view) { return store_int_at(part(view, PART_SIZES), SIZE_DEPENDENTS); }
bool view_member(const struct view *view) { return store_int_at(part(view, PART_SIZES), SIZE_MEMBER) == 1; }

int64_t view_listed(const struct view *view, enum view_index index)
{
	const struct store_reply *score = store_reply_at(part(view, PART_LISTED), index);
	return store_reply_nil(score) ? -1 : store_reply_int(score);
}

const struct store_reply *view_waiting(const struct view *view)
{
	return view->more ? view->more : part(view, PART_WAITING);
}

static void read_parts(struct view *view)
{
	const char *state = view_text(view, VIEW_STATE);

	view->now_ms = store_reply_int(part(view, PART_NOW));
	view->state = job_state_parse(state, strlen(state));
	view->ended = view->state >= 0 && job_state_ended((enum job_state)view->state);
	view->live = view->state >= 0 && !view->ended;
	snprintf(view->sign, sizeof view->sign, "%s/%" PRId64 "/%" PRId64, state, view_int(view, VIEW_ATTEMPT),
		 view_int(view, VIEW_EPOCH));
}

int64_t lease_of(const struct doctor *doctor, const char *name)
{
	int64_t longest = LEASE_MS;

	for (size_t i = 0; i < doctor->workers.count; i++) {
		const struct worker *worker = &doctor->workers.at[i];
		int64_t lease_ms = worker_int(worker, "lease_ms");
		if (lease_ms > 0 && strcmp(worker->name, name) == 0)
			return lease_ms;
		if (lease_ms > longest)
			longest = lease_ms;
	}
	return longest;
}

/* A large `waiting` is small beside the fleet, and its job is one of few. */
static int read_more(struct doctor *doctor, struct view *view, struct err *err)
{
	if (view_entries(view) == 0 || store_reply_count(part(view, PART_WAITING)) > 0)
		return 0;
	view->more = doctor_one(doctor, err, "HGETALL %k", KEY_WAITING, view->id);
	return view->more ? 0 : err->code;
}

int views_read(struct doctor *doctor, const char *const *ids, size_t count, struct view *ret, struct err *err)
{
	const struct store_arg args[] = {STORE_TEXT(MOST)};
	int r;

	for (size_t i = 0; i < count; i++) {
		ret[i] = (struct view){.id = ids[i], .state = -1};
		store_script(doctor->session->store, "examine", ids[i], NULL, args, 1, doctor_answered,
			     doctor_expect(doctor, &ret[i].reply));
	}
	r = doctor_wait(doctor, err);
	for (size_t i = 0; i < count && r == 0; i++)
		if (store_reply_count(ret[i].reply) == PARTS) {
			read_parts(&ret[i]);
			ret[i].lease_ms = lease_of(doctor, view_text(&ret[i], VIEW_WORKER));
			r = read_more(doctor, &ret[i], err);
		}
	return r;
}

void view_release(struct view *view)
{
	store_reply_free(view->reply);
	store_reply_free(view->more);
	view->reply = view->more = NULL;
}
