/* Jobs that wait for one another. The edges are few bytes each, so that a whole fleet's fit into memory. */
#ifndef FLOTILLA_PRODUCER_CYCLE_H
#define FLOTILLA_PRODUCER_CYCLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

struct cycle_edge {
	uint32_t child, pred; /* numbers of jobs */
};

struct cycles {
	struct buf names; /* ids, each with its NUL */
	size_t *at;       /* where in there job number i begins */
	uint32_t *slots;  /* numbers by the hash of the id, + 1 */
	size_t count, room, slot_room;
	struct cycle_edge *edges;
	size_t edge_count, edge_room;
};

/* `child` waits for `pred`. */
void cycles_add(struct cycles *cycles, const char *child, const char *pred);
void cycles_release(struct cycles *cycles);
/* Calls `told` for each cycle: `ids[i]` waits for `ids[i + 1]`, the last one for the first. Each job is in one of them
 * at most. The ids are borrowed. */
void cycles_find(struct cycles *cycles, void (*told)(void *data, const char *const *ids, size_t count), void *data);

#endif
