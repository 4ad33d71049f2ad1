/* Workers, the caretaker's role, and what the whole fleet counts. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/duration.h"
#include "doctor/doctor.h"
#include "record.h"

#define LEASES_GONE 3

/* A worker that is gone is struck off by the caretaker a lease after its last sign of life. */
static size_t check_workers(struct doctor *doctor, struct findings *into)
{
	size_t alive = 0;

	for (size_t i = 0; i < doctor->workers.count; i++) {
		const struct worker *worker = &doctor->workers.at[i];
		char span[DURATION_TEXT], sign[24];
		alive += worker->alive;
		if (doctor->workers.now_ms - worker->seen_ms < LEASES_GONE * lease_of(doctor, worker->name))
			continue;
		age_format(doctor->workers.now_ms, worker->seen_ms, span);
		snprintf(sign, sizeof sign, "%" PRId64, worker->seen_ms);
		found(into, KIND_WORKER_GONE, worker->name, sign,
		      "it is listed among the workers, and was last heard of %s ago", span);
	}
	return alive;
}

/* Whoever publishes to the pool's queues unsigned needs one worker only that takes it. */
static void check_signatures(const struct doctor *doctor, struct findings *into)
{
	for (size_t i = 0; i < doctor->workers.count; i++) {
		const struct worker *worker = &doctor->workers.at[i], *other = NULL;
		const char *pool = worker_text(worker, "pool");

		for (size_t j = 0; j < doctor->workers.count && !other; j++)
			if (doctor->workers.at[j].alive && worker_serves(&doctor->workers.at[j], pool) &&
			    *worker_text(&doctor->workers.at[j], "demands"))
				other = &doctor->workers.at[j];
		if (other && worker->alive && !*worker_text(worker, "demands"))
			found(into, KIND_TAKES_UNSIGNED, worker->name, "",
			      "it takes unsigned jobs of the pool %s, and %s does not", pool, other->name);
	}
}

static int check_caretaker(struct doctor *doctor, bool alive, struct findings *into, struct err *err)
{
	CLEANUP(store_reply_freep) struct store_reply *holder = doctor_one(doctor, err, "GET %k", KEY_CARETAKER, "");
	CLEANUP(store_reply_freep)
	struct store_reply *goes = holder ? doctor_one(doctor, err, "PTTL %k", KEY_CARETAKER, "") : NULL;
	const char *name = store_reply_text(holder, NULL);

	if (!holder || !goes)
		return err->code;
	if (*name && store_reply_int(goes) == -1)
		found(into, KIND_CARETAKER_STUCK, name, "",
		      "it has the caretaker's role for ever: the role has no expiry, so nobody else can take it");
	if (!*name && alive)
		found(into, KIND_NO_CARETAKER, "caretaker", "",
		      "workers live, and none has the caretaker's role: what the dead have left behind is not taken "
		      "up");
	return 0;
}

static int check_stats(struct doctor *doctor, struct findings *into, struct err *err)
{
	CLEANUP(store_reply_freep) struct store_reply *stats = doctor_one(doctor, err, "HGETALL %k", KEY_STATS, "");

	if (!stats)
		return err->code;
	for (int i = 0; i < JOB_STATE_COUNT; i++) {
		const char *name = job_state_name((enum job_state)i);
		char least[24];
		if (record_int(stats, name, 0) >= doctor->ended[i])
			continue;
		snprintf(least, sizeof least, "%" PRId64, doctor->ended[i]);
		found(into, KIND_STATS_LOW, name, least,
		      "the fleet has counted %" PRId64 " such ends, and there are %s such jobs",
		      record_int(stats, name, 0), least);
	}
	return 0;
}

int look_fleet(struct doctor *doctor, struct findings *into, struct err *err)
{
	size_t alive = check_workers(doctor, into);
	int r = check_caretaker(doctor, alive > 0, into, err);

	check_signatures(doctor, into);
	return r == 0 ? check_stats(doctor, into, err) : r;
}
