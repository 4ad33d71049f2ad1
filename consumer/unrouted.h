/* What lies in PREFIX.unrouted for a pool whose queues have just come into being. */
#ifndef FLOTILLA_CONSUMER_UNROUTED_H
#define FLOTILLA_CONSUMER_UNROUTED_H

#include "broker/broker.h"

/* Publishes the messages in PREFIX.unrouted whose routing key is of `pool` and one of the priorities again to its
 * queues, on a connection of its own; the others stay. Blocks, for some seconds at most. True: there is no more to be
 * done, or this worker may not; false: there is, call it again later. */
bool unrouted_rescue(const struct broker_options *options, const char *prefix, const char *pool,
		     const char *const *priorities, size_t priority_count);

#endif
