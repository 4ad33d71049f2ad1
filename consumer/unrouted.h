/* What lies in PREFIX.unrouted for a pool whose queues have just come into being. */
#ifndef FLOTILLA_CONSUMER_UNROUTED_H
#define FLOTILLA_CONSUMER_UNROUTED_H

#include "broker/broker.h"

enum unrouted {
	UNROUTED_DONE,    /* there is no more to be done, or this worker may not */
	UNROUTED_MORE,    /* there may be more: call it again later */
	UNROUTED_IN_VAIN, /* likewise, and none of those that were seen is of the pool */
};

/* Publishes the messages in PREFIX.unrouted whose routing key is of `pool` and one of the priorities again to its
 * queues, on a connection of its own; the others stay. Blocks, for some seconds at most. */
enum unrouted unrouted_rescue(const struct broker_options *options, const char *prefix, const char *pool,
			      const char *const *priorities, size_t priority_count);

#endif
