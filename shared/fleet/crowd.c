/* A job that waits for many is told of several ends at once. None but the last can make it ready, so no other asks for
 * a place to begin it in: the places are for jobs that can begin. How many it still waits for is what Redis said last.
 */
#include <inttypes.h>
#include <uthash.h>

#include "fleet/internal.h"

struct crowd {
	int64_t left; /* 0: not known yet */
	size_t open;  /* ends that it is being told */
	UT_hash_handle hh;
	char id[];
};

struct crowd *fleet_crowd_join(struct fleet *fleet, const char *id)
{
	struct crowd *crowd;
	size_t len = strlen(id);

	HASH_FIND(hh, fleet->crowds, id, len, crowd);
	if (!crowd) {
		crowd = xcalloc(1, sizeof *crowd + len + 1);
		memcpy(crowd->id, id, len);
		HASH_ADD_KEYPTR(hh, fleet->crowds, crowd->id, len, crowd);
	}
	crowd->open++;
	return crowd;
}

bool fleet_crowd_waits(const struct crowd *crowd) { return crowd->left > (int64_t)crowd->open; }

void fleet_crowd_leave(struct fleet *fleet, struct crowd *crowd, int64_t left)
{
	crowd->left = left;
	if (--crowd->open > 0)
		return;
	HASH_DEL(fleet->crowds, crowd);
	free(crowd);
}
