/* Acknowledgements. Tags of one channel are 1, 2, 3 …: a ring of states says which are finished. The finished ones at
 * the low end go in one `multiple` ack; one behind an unfinished delivery is acknowledged alone. */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "worker.h"

enum { OPEN, FINISHED, ACKED };

#define GATHER 8
#define LATE_MS 2000 /* architecture, law 2: without appendfsync always */

void acks_reset(struct acks *acks, uint64_t generation)
{
	acks->generation = generation;
	acks->first = acks->next = 1;
	acks->done_count = 0;
}

void acks_release(struct acks *acks)
{
	free(acks->state);
	free(acks->done);
	memset(acks, 0, sizeof *acks);
}

void acks_delivered(struct acks *acks, uint64_t tag)
{
	if (tag >= acks->first + acks->size) {
		size_t size = acks->size ? acks->size * 2 : 256;
		unsigned char *state = xmalloc(size);
		for (uint64_t t = acks->first; t < acks->next; t++)
			state[t % size] = acks->state[t % acks->size];
		free(acks->state);
		acks->state = state;
		acks->size = size;
	}
	acks->state[tag % acks->size] = OPEN;
	acks->next = tag + 1;
}

void acks_tag(struct worker *worker, uint64_t generation, uint64_t tag)
{
	struct acks *acks = &worker->intake.acks;

	if (tag == 0 || generation != acks->generation || !worker->intake.broker)
		return;
	if (tag < acks->first || tag >= acks->next || acks->state[tag % acks->size] != OPEN)
		return;
	acks->state[tag % acks->size] = FINISHED;
	if (acks->done_count == acks->done_size) {
		acks->done_size = acks->done_size ? acks->done_size * 2 : 256;
		acks->done = xrealloc(acks->done, acks->done_size * sizeof *acks->done);
	}
	acks->done[acks->done_count++] = tag;
}

void acks_item(struct item *item)
{
	acks_tag(item->worker, item->generation, item->tag);
	item->tag = 0;
}

void acks_item_durable(struct item *item)
{
	struct intake *intake = &item->worker->intake;
	struct late_ack *late;

	if (store_durable(item->worker->store) || item->tag == 0) {
		acks_item(item);
		return;
	}
	late = xmalloc(sizeof *late);
	*late = (struct late_ack){NULL, item->generation, item->tag, clock_mono_ms() + LATE_MS};
	item->tag = 0;
	if (intake->late_last)
		intake->late_last->next = late;
	else
		intake->late = late;
	intake->late_last = late;
}

void acks_item_ran(struct item *item, bool gone)
{
	struct worker *worker = item->worker;

	if (gone && item->tag && item->generation == worker->intake.generation)
		intake_again(worker, "Redis has lost a job that ran");
	else
		acks_item_durable(item);
}

/* The time alone does not do: a Redis that died a moment after its answer may not have been missed yet. It has to have
 * lived so long. */
void acks_tick(struct worker *worker)
{
	struct intake *intake = &worker->intake;
	int64_t alive = store_alive_at(worker->store);

	while (intake->late && intake->late->due <= alive) {
		struct late_ack *late = intake->late;
		intake->late = late->next;
		if (!intake->late)
			intake->late_last = NULL;
		acks_tag(worker, late->generation, late->tag);
		free(late);
	}
}

void acks_forget_late(struct worker *worker)
{
	struct intake *intake = &worker->intake;

	while (intake->late) {
		struct late_ack *late = intake->late;
		intake->late = late->next;
		free(late);
	}
	intake->late_last = NULL;
}

static bool send_acks(struct worker *worker, struct err *err)
{
	struct intake *intake = &worker->intake;
	struct acks *acks = &intake->acks;
	uint64_t last = 0; /* the broker refuses a range whose last tag was acknowledged before */

	for (; acks->first < acks->next && acks->state[acks->first % acks->size] != OPEN; acks->first++)
		if (acks->state[acks->first % acks->size] == FINISHED)
			last = acks->first;
	if (last > 0 && broker_ack(intake->broker, 1, last, true, err) < 0)
		return false;
	for (size_t i = 0; i < acks->done_count; i++) {
		uint64_t tag = acks->done[i];
		if (tag < acks->first || acks->state[tag % acks->size] != FINISHED)
			continue;
		acks->state[tag % acks->size] = ACKED;
		if (broker_ack(intake->broker, 1, tag, false, err) < 0)
			return false;
	}
	return true;
}

/* Each acknowledgement is an entry in the queue's log: while more answers are on their way, they are gathered up to a
 * part of the prefetch, which the broker can spare. With nothing under way they leave at once. */
static bool worth_sending(const struct worker *worker)
{
	size_t least = 0;

	for (size_t i = 0; i < worker->level_count; i++)
		if (worker->levels[i].consume != CONSUME_OFF && worker->levels[i].prefetch / GATHER > least)
			least = worker->levels[i].prefetch / GATHER;
	return worker->intake.acks.done_count >= least || store_pending(worker->store) == 0;
}

void acks_flush(struct worker *worker, bool all)
{
	struct intake *intake = &worker->intake;
	struct err err;
	bool sent;

	if (!intake->broker || intake->acks.done_count == 0 || (!all && !worth_sending(worker)))
		return;
	BROKER_FAULT(intake->broker, ACK_READY);
	sent = send_acks(worker, &err);
	BROKER_FAULT(intake->broker, ACK_SENT);
	intake->acks.done_count = 0;
	intake->more = true; /* a call to the library may have read frames */
	if (!sent)
		intake_lost(worker, &err);
}
