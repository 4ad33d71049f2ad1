/* Jobs are numbers, found by the hash of their ids. What waits for nobody that is left is taken away, over and over
 * (Kahn); what is left is in a cycle or waits for one, and following one predecessor that is left leads onto the cycle.
 */
#include "cycle.h"

#include <stdlib.h>
#include <string.h>

#define NONE UINT32_MAX

static uint64_t hash(const char *text)
{
	uint64_t h = UINT64_C(14695981039346656037);

	for (; *text; text++)
		h = (h ^ (unsigned char)*text) * UINT64_C(1099511628211);
	return h ^ h >> 29;
}

static const char *name_of(const struct cycles *cycles, uint32_t job) { return cycles->names.data + cycles->at[job]; }

/* Where the number of `id` stands, or is to stand. */
static uint32_t *slot_of(const struct cycles *cycles, const char *id)
{
	size_t i = hash(id) & (cycles->slot_room - 1);

	while (cycles->slots[i] && strcmp(name_of(cycles, cycles->slots[i] - 1), id) != 0)
		i = (i + 1) & (cycles->slot_room - 1);
	return &cycles->slots[i];
}

static void grow(struct cycles *cycles)
{
	cycles->room = cycles->room ? 2 * cycles->room : 64;
	cycles->at = xrealloc(cycles->at, cycles->room * sizeof *cycles->at);
	free(cycles->slots);
	cycles->slot_room = 2 * cycles->room;
	cycles->slots = xcalloc(cycles->slot_room, sizeof *cycles->slots);
	for (uint32_t job = 0; job < cycles->count; job++)
		*slot_of(cycles, name_of(cycles, job)) = job + 1;
}

static uint32_t number(struct cycles *cycles, const char *id)
{
	uint32_t *slot;

	if (cycles->count == cycles->room)
		grow(cycles);
	slot = slot_of(cycles, id);
	if (!*slot) {
		cycles->at[cycles->count] = cycles->names.len;
		buf_add(&cycles->names, id, strlen(id) + 1);
		*slot = (uint32_t)++cycles->count;
	}
	return *slot - 1;
}

void cycles_add(struct cycles *cycles, const char *child, const char *pred)
{
	struct cycle_edge edge = {number(cycles, child), number(cycles, pred)};

	if (cycles->edge_count == cycles->edge_room) {
		cycles->edge_room = cycles->edge_room ? 2 * cycles->edge_room : 64;
		cycles->edges = xrealloc(cycles->edges, cycles->edge_room * sizeof *cycles->edges);
	}
	cycles->edges[cycles->edge_count++] = edge;
}

void cycles_release(struct cycles *cycles)
{
	buf_release(&cycles->names);
	free(cycles->at);
	free(cycles->slots);
	free(cycles->edges);
	*cycles = (struct cycles){0};
}

static int by_pred(const void *a, const void *b)
{
	const struct cycle_edge *x = a, *y = b;
	return x->pred < y->pred ? -1 : x->pred > y->pred;
}

/* The first edge of `pred`; the edges are sorted. */
static size_t first_edge(const struct cycles *cycles, uint32_t pred)
{
	size_t low = 0, high = cycles->edge_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (cycles->edges[middle].pred < pred)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* waits[i]: for how many that are left job i waits; 0: it is left no more. */
static void peel(const struct cycles *cycles, uint32_t *waits, uint32_t *todo)
{
	size_t count = 0;

	for (size_t i = 0; i < cycles->edge_count; i++)
		waits[cycles->edges[i].child]++;
	for (uint32_t job = 0; job < cycles->count; job++)
		if (waits[job] == 0)
			todo[count++] = job;
	while (count > 0) {
		uint32_t job = todo[--count];
		for (size_t i = first_edge(cycles, job); i < cycles->edge_count && cycles->edges[i].pred == job; i++)
			if (--waits[cycles->edges[i].child] == 0)
				todo[count++] = cycles->edges[i].child;
	}
}

/* For each job that is left, one that it waits for and that is left. */
static uint32_t *next_left(const struct cycles *cycles, const uint32_t *waits)
{
	uint32_t *next = xcalloc(cycles->count + 1, sizeof *next);

	memset(next, 0xff, (cycles->count + 1) * sizeof *next);
	for (size_t i = 0; i < cycles->edge_count; i++)
		if (waits[cycles->edges[i].child] && waits[cycles->edges[i].pred])
			next[cycles->edges[i].child] = cycles->edges[i].pred;
	return next;
}

static void tell(const struct cycles *cycles, const uint32_t *next, uint32_t start,
		 void (*told)(void *data, const char *const *ids, size_t count), void *data)
{
	const char **ids = NULL;
	uint32_t job = start;
	size_t count = 0;

	do {
		ids = xrealloc(ids, (count + 1) * sizeof *ids);
		ids[count++] = name_of(cycles, job);
		job = next[job];
	} while (job != start);
	told(data, ids, count);
	free(ids);
}

void cycles_find(struct cycles *cycles, void (*told)(void *data, const char *const *ids, size_t count), void *data)
{
	uint32_t *waits = xcalloc(cycles->count + 1, sizeof *waits), *walk = xcalloc(cycles->count + 1, sizeof *walk);
	uint32_t *next;

	if (cycles->edge_count)
		qsort(cycles->edges, cycles->edge_count, sizeof *cycles->edges, by_pred);
	peel(cycles, waits, walk);
	next = next_left(cycles, waits);
	memset(walk, 0, (cycles->count + 1) * sizeof *walk); /* from now on: on which walk a job was met, 0: none */
	for (uint32_t from = 0; from < cycles->count; from++) {
		uint32_t job = from;
		for (; next[job] != NONE && !walk[job]; job = next[job])
			walk[job] = from + 1;
		if (next[job] != NONE && walk[job] == from + 1)
			tell(cycles, next, job, told, data);
	}
	free(waits);
	free(walk);
	free(next);
}
