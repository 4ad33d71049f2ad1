/* The order of it all: the survey, then looks at what it suspects, repairs, and a last look. */
#include "doctor/doctor.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"

#define PAUSE_MS 1000
#define PATIENCE 4 /* further looks at what may take its time */

/* --- asking --- */

struct expect {
	struct expect *prev, *next;
	struct doctor *doctor;
	struct store_reply **ret;
};

struct expect *doctor_expect(struct doctor *doctor, struct store_reply **ret)
{
	struct expect *expect = xcalloc(1, sizeof *expect);

	expect->doctor = doctor;
	expect->ret = ret;
	DL_APPEND(doctor->expected, expect);
	doctor->open++;
	return expect;
}

void doctor_answered(void *data, const struct store_reply *reply)
{
	struct expect *expect = data;
	struct doctor *doctor = expect->doctor;

	*expect->ret = store_reply_copy(reply);
	DL_DELETE(doctor->expected, expect);
	doctor->open--;
	free(expect);
}

static bool all_answered(void *data) { return ((struct doctor *)data)->open == 0; }

int doctor_wait(struct doctor *doctor, struct err *err)
{
	return session_run(doctor->session, all_answered, doctor, -1, err);
}

struct store_reply *doctor_checked(struct store_reply *reply, struct err *err)
{
	if (reply && store_reply_error(reply)) {
		err_set(err, ERR_INPUT, "Redis says: %s", store_reply_error(reply));
		store_reply_free(reply);
		return NULL;
	}
	return reply;
}

/* --- what was seen --- */

static uint64_t hash(const char *text)
{
	uint64_t h = UINT64_C(14695981039346656037);

	for (; *text; text++)
		h = (h ^ (unsigned char)*text) * UINT64_C(1099511628211);
	h = (h ^ h >> 32) * UINT64_C(0x9e3779b97f4a7c15);
	return h ? h : 1;
}

static bool put(uint64_t *slots, size_t room, uint64_t h)
{
	size_t i = h & (room - 1);

	for (; slots[i]; i = (i + 1) & (room - 1))
		if (slots[i] == h)
			return false;
	slots[i] = h;
	return true;
}

bool seen_add(struct seen *seen, const char *text)
{
	if (2 * seen->count >= seen->room) {
		size_t room = seen->room ? 2 * seen->room : 1024;
		uint64_t *slots = xcalloc(room, sizeof *slots);
		for (size_t i = 0; i < seen->room; i++)
			if (seen->slots[i])
				put(slots, room, seen->slots[i]);
		free(seen->slots);
		seen->slots = slots;
		seen->room = room;
	}
	if (!put(seen->slots, seen->room, hash(text)))
		return false;
	seen->count++;
	return true;
}

void seen_release(struct seen *seen)
{
	free(seen->slots);
	*seen = (struct seen){0};
}

struct queued *queued_of(struct doctor *doctor, const char *pool, const char *priority)
{
	CLEANUP(buf_release) struct buf key = BUF_INIT;
	struct queued *queued;

	buf_addf(&key, "%s.%s", pool, priority);
	HASH_FIND(hh, doctor->queued, key.data, key.len, queued);
	if (queued)
		return queued;
	queued = xcalloc(1, sizeof *queued + key.len + 1);
	queued->pool = xstrdup(pool);
	queued->priority = xstrdup(priority);
	queued->messages = -2;
	memcpy(queued->key, key.data, key.len);
	HASH_ADD_KEYPTR(hh, doctor->queued, queued->key, key.len, queued);
	return queued;
}

/* --- looks --- */

static int workers_now(struct doctor *doctor, struct err *err)
{
	workers_release(&doctor->workers);
	return workers_read(doctor->session, &doctor->workers, err);
}

/* Once more at all that a finding of the family is of. */
static int look_family(struct doctor *doctor, enum doctor_family family, const struct findings *at,
		       struct findings *into, struct err *err)
{
	CLEANUP(ids_release) struct ids ids = {0};
	CLEANUP(seen_release) struct seen seen = {0};
	struct finding *finding, *next;

	HASH_ITER(hh, at->all, finding, next)
	if (kind_family(finding->kind) == family && kind_level(finding->kind) != LEVEL_NOTE &&
	    seen_add(&seen, finding->id))
		ids_add(&ids, finding->id);
	if (ids.count == 0)
		return 0;
	switch (family) {
	case FAMILY_JOB: return look_jobs(doctor, &ids, into, err);
	case FAMILY_DEDUP: return look_dedup(doctor, &ids, into, err);
	case FAMILY_RUN: return look_runs(doctor, &ids, into, err);
	case FAMILY_FLEET: return look_redis(doctor, into, err) < 0 ? err->code : look_fleet(doctor, into, err);
	default: return look_queues(doctor, into, err);
	}
}

/* The queues' numbers are read before the jobs of which they say whether there is a message for them. */
static int look_again(struct doctor *doctor, const struct findings *at, struct findings *into, struct err *err)
{
	static const enum doctor_family order[] = {FAMILY_QUEUE, FAMILY_JOB, FAMILY_DEDUP, FAMILY_RUN, FAMILY_FLEET};
	int r = workers_now(doctor, err);

	if (r == 0 && at->kept[KIND_NO_MESSAGE])
		r = look_queues(doctor, into, err);
	for (size_t i = 0; i < sizeof order / sizeof *order && r == 0; i++)
		r = look_family(doctor, order[i], at, into, err);
	return r;
}

static bool never(void *data)
{
	(void)data;
	return false;
}

static int pause_for(struct doctor *doctor, int64_t ms, struct err *err)
{
	int r = session_run(doctor->session, never, NULL, ms, err);
	return r == ERR_TIMEOUT ? 0 : r;
}

static bool is_serious(enum doctor_kind kind)
{
	return kind_level(kind) != LEVEL_NOTE && kind != KIND_CYCLE && kind != KIND_INVITES_NOBODY;
}
static bool is_patient(enum doctor_kind kind) { return kind_patient(kind); }

static bool any(const struct findings *findings, bool (*of)(enum doctor_kind kind))
{
	for (int kind = 0; kind < KIND_COUNT; kind++)
		if (findings->kept[kind] && of((enum doctor_kind)kind))
			return true;
	return false;
}

/* --- is there a message for it? --- */

/* The queue is named at the end of the sign (survey.c). */
static struct queued *queue_of(const struct doctor *doctor, const struct finding *finding)
{
	const char *key = strrchr(finding->sign, ' ');
	struct queued *queued = NULL;

	if (key)
		HASH_FIND(hh, doctor->queued, key + 1, strlen(key + 1), queued);
	return queued;
}

/* Jobs that nobody owes an invitation are suspects only while they are more than the messages and held jobs there may
 * be for them. Where there is none at all, each is a finding; else nobody can tell which (`last`: that is said, then).
 */
static void sift_messages(struct doctor *doctor, struct findings *findings, bool last)
{
	struct finding *finding, *next;
	struct queued *queued, *next_queued;

	HASH_ITER(hh, doctor->queued, queued, next_queued)
	queued->unowed = 0;
	HASH_ITER(hh, findings->all, finding, next)
	if (finding->kind == KIND_NO_MESSAGE && (queued = queue_of(doctor, finding)))
		queued->unowed++;
	HASH_ITER(hh, findings->all, finding, next)
	if (finding->kind == KIND_NO_MESSAGE && (queued = queue_of(doctor, finding)) &&
	    (last ? queued->most > 0 : queued->unowed <= queued->most))
		finding_drop(findings, finding);
	HASH_ITER(hh, doctor->queued, queued, next_queued)
	if (last && queued->most > 0 && queued->unowed > queued->most)
		found(findings, KIND_FEW_MESSAGES, queued->key, "",
		      "%lld jobs are queued there of which no invitation is owed, and there are %lld messages at most",
		      (long long)queued->unowed, (long long)queued->most);
}

static int confirm(struct doctor *doctor, struct findings *findings, struct err *err)
{
	int r = 0;

	sift_messages(doctor, findings, false);
	for (int look = 0; look <= PATIENCE && r == 0; look++) {
		CLEANUP(findings_release) struct findings now = {0};
		bool (*of)(enum doctor_kind kind) = look == 0 ? is_serious : is_patient;
		if (!any(findings, of))
			break;
		r = pause_for(doctor, PAUSE_MS, err);
		if (r == 0)
			r = look_again(doctor, findings, &now, err);
		if (r == 0)
			findings_retain(findings, &now, of);
		sift_messages(doctor, findings, false);
	}
	sift_messages(doctor, findings, true);
	return r;
}

/* --- repairs --- */

/* The longest lease of the workers whose leases ran out; they are named at the end of the sign. */
static int64_t longest_lease(const struct doctor *doctor, const struct findings *findings)
{
	int64_t longest = 0;

	for (const struct finding *finding = findings->all; finding; finding = finding->hh.next) {
		const char *worker = finding->kind == KIND_LEASE_EXPIRED ? strrchr(finding->sign, ' ') : NULL;
		if (worker && lease_of(doctor, worker + 1) > longest)
			longest = lease_of(doctor, worker + 1);
	}
	return longest;
}

static bool is_lease(enum doctor_kind kind) { return kind == KIND_LEASE_EXPIRED; }

/* A lease is taken away only in a session with Redis that has lasted for a lease: a Redis that was away took all
 * renewals with it. And only if it is the same half a lease later. */
static int outwait_leases(struct doctor *doctor, struct findings *findings, struct err *err)
{
	CLEANUP(findings_release) struct findings now = {0};
	int64_t lease_ms = longest_lease(doctor, findings),
		left_ms = lease_ms - store_session_ms(doctor->session->store);
	int r;

	if (!findings->kept[KIND_LEASE_EXPIRED])
		return 0;
	r = pause_for(doctor, left_ms > lease_ms / 2 ? left_ms : lease_ms / 2, err);
	if (r == 0)
		r = look_again(doctor, findings, &now, err);
	if (r == 0 && store_session_ms(doctor->session->store) >= lease_ms)
		findings_retain(findings, &now, is_lease);
	return r;
}

/* Still there. Counters are set to what they are at the time, so whatever they are now is the same trouble. */
static bool persists(const struct findings *now, const struct finding *finding)
{
	struct finding *other, *next;

	if (finding->kind != KIND_RUN_COUNTERS)
		return findings_same(now, finding) != NULL;
	HASH_ITER(hh, now->all, other, next)
	if (other->kind == finding->kind && strcmp(other->id, finding->id) == 0)
		return true;
	return false;
}

/* One repair of a job mends all that mend.lua can. An invitation is gone only if it was removed: it is not looked for
 * again. */
static void judge(const struct findings *now, struct finding *finding)
{
	finding->mended = !persists(now, finding) && (finding->did || finding->kind != KIND_INVITES_NOBODY);
	if (finding->mended && !finding->did)
		mend_did(finding, "with the rest of it");
}

static bool has_mend(enum doctor_kind kind) { return kind_mend(kind) != NULL; }

/* What is gone at the look behind them is mended. A round tries what is left in another way, where there is one. */
static int mend(struct doctor *doctor, struct findings *findings, struct err *err)
{
	int r = outwait_leases(doctor, findings, err);

	for (int round = 0; round < MEND_ROUNDS && r == 0; round++) {
		CLEANUP(findings_release) struct findings now = {0};
		struct finding *finding, *next;
		bool started = false;
		HASH_ITER(hh, findings->all, finding, next)
		if (!finding->mended && has_mend(finding->kind)) {
			kind_mend(finding->kind)(doctor, finding, round);
			started = true;
		}
		if (!started)
			return 0;
		r = session_finish(doctor->session, err);
		if (r == 0)
			r = look_again(doctor, findings, &now, err);
		if (r < 0)
			return r;
		HASH_ITER(hh, findings->all, finding, next)
		if (has_mend(finding->kind))
			judge(&now, finding);
	}
	return r;
}

int doctor_run(struct doctor *doctor, struct findings *ret, struct err *err)
{
	int r = workers_now(doctor, err);

	doctor->survey = true;
	if (r == 0)
		r = survey_all(doctor, ret, err);
	doctor->survey = false;
	if (r == 0)
		r = confirm(doctor, ret, err);
	if (r == 0 && doctor->options->repair)
		r = mend(doctor, ret, err);
	return r;
}

void doctor_release(struct doctor *doctor)
{
	struct queued *queued, *next_queued;
	struct expect *expect, *next;

	HASH_ITER(hh, doctor->queued, queued, next_queued)
	{
		HASH_DEL(doctor->queued, queued);
		free(queued->pool);
		free(queued->priority);
		free(queued);
	}
	DL_FOREACH_SAFE(doctor->expected, expect, next)
	{
		DL_DELETE(doctor->expected, expect);
		free(expect);
	}
	findings_release(&doctor->removed);
	cycles_release(&doctor->cycles);
	seen_release(&doctor->seen);
	workers_release(&doctor->workers);
}
