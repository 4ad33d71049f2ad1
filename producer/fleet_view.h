/* The fleet in numbers, for stats and top. */
#ifndef FLOTILLA_PRODUCER_FLEET_VIEW_H
#define FLOTILLA_PRODUCER_FLEET_VIEW_H

#include <jansson.h>

#include "session.h"
#include "workers.h"

/* The sorted sets of the contract, section 5. */
#define INDEX_MAP(X)                                                                                                   \
	X(leases, KEY_LEASES)                                                                                          \
	X(scheduled, KEY_SCHEDULED)                                                                                    \
	X(expiring, KEY_EXPIRING)                                                                                      \
	X(outbox, KEY_OUTBOX)                                                                                          \
	X(settling, KEY_SETTLING)                                                                                      \
	X(replies, KEY_REPLIES)

struct queue {
	char *pool;
	const char *priority;
	int64_t ready; /* -1: there is no such queue; -2: the broker is away */
	int64_t consumers;
};

struct fleet_view {
	struct workers workers;
	int64_t ended[JOB_STATE_COUNT]; /* since the fleet began */
#define X(name, key) int64_t name;
	INDEX_MAP(X)
#undef X
	struct queue *queues; /* of the pools that are served or have jobs queued; or of those named */
	size_t queue_count;
	bool broker; /* it answers */
};

/* Reads all of it. The session's fleet must be open; waits `broker_ms` for RabbitMQ at most. */
int fleet_view_read(struct session *session, const struct texts *pools, int64_t broker_ms, struct fleet_view *ret,
		    struct err *err);
void fleet_view_release(struct fleet_view *view);

/* Appends what people see of ends and indices; of queues. */
void fleet_view_counts(const struct fleet_view *view, bool fancy, struct buf *ret);
void fleet_view_queues(const struct fleet_view *view, bool fancy, struct buf *ret);
json_t *fleet_view_json(const struct fleet_view *view);

#endif
