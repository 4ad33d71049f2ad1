/* Publishing that loses nothing and never holds up a loop: a thread and a connection of its own, confirms in windows,
 * whole-session recovery with backoff. What was handed over is published until it is confirmed or returned, across
 * reconnections (so it may arrive twice, which the protocol allows everywhere).
 *
 * All functions are called on the loop's thread, never block, and call back on the loop's thread, in no promised order.
 */
#ifndef FLOTILLA_BROKER_PUBLISHER_H
#define FLOTILLA_BROKER_PUBLISHER_H

#include <uv.h>

#include "broker/broker.h"

struct publisher;

enum publish_outcome {
	PUBLISH_CONFIRMED, /* the broker has it safe */
	PUBLISH_RETURNED,  /* no queue took it */
	PUBLISH_DROPPED,   /* the publisher was closed first: nothing is known; or an offer was refused */
};

typedef void publish_done(void *data, enum publish_outcome outcome);

struct publisher_options {
	struct broker_options broker; /* the strings are copied */
	const char *prefix;           /* copied */
	size_t window;                /* unconfirmed at most; 0: 1000 */
	/* Called when the session is lost or back; NULL: nobody wants to know. `err` is NULL when it is up. A refusal
	 * (ERR_REFUSED) is told like any loss; whoever cannot live with it ends the process. */
	void (*state)(void *data, bool up, const struct err *err);
	void *data;
};

/* Starts the thread; connecting goes on in the background. */
int publisher_open(uv_loop_t *loop, const struct publisher_options *options, struct publisher **ret, struct err *err);
/* Stops: waits up to `flush_ms` for what is under way, then calls back the rest with PUBLISH_DROPPED. Blocks so long.
 * All callbacks have been called, and the async handle is closing, when it returns (run the loop once more to free it).
 */
void publisher_close(struct publisher *publisher, int64_t flush_ms);

/* Publishes a copy of `out` (all but `like` is copied; `like` must be a broker_properties_copy, which it then owns). */
void publisher_send(struct publisher *publisher, const struct broker_out *out, publish_done *done, void *data);

/* The same, once: what the broker refuses for now (its queue is full) is not kept but comes back as PUBLISH_DROPPED. */
void publisher_offer(struct publisher *publisher, const struct broker_out *out, publish_done *done, void *data);

/* Publishes a copy of `out` as a client publishes a job: to the fleet's exchange, for a pool and a priority. Its
 * exchange and routing key are filled in; what is missing in RabbitMQ is declared first, as for an invitation. */
void publisher_job(struct publisher *publisher, const char *pool, const char *priority, const struct broker_out *out,
		   publish_done *done, void *data);

/* Publishes an invitation for job `id` to the queue of pool and priority through the default exchange: type
 * "flotilla.invite", the body the id; its `task` (may be NULL) goes in the header x-flotilla-task, as a hint. The queue
 * is declared first if this session has not seen it; one that comes back returned is declared and published once more
 * before it counts as returned. */
void publisher_invite(struct publisher *publisher, const char *id, const char *pool, const char *priority,
		      const char *task, publish_done *done, void *data);

/* How many messages are ready in a queue: `messages` is -1 where it does not exist, -2 where the broker is away. */
typedef void publisher_depth_done(void *data, int64_t messages, int64_t consumers);
void publisher_depth(struct publisher *publisher, const char *queue, publisher_depth_done *done, void *data);
/* Whether the queue has its mark (topology.h): `messages` is 0 where it has, else as above. */
void publisher_mark(struct publisher *publisher, const char *queue, publisher_depth_done *done, void *data);

/* How many messages were handed over since it was opened, and what became of them. */
struct publisher_counts {
	uint64_t published, confirmed, returned;
	uint64_t pending;
};
void publisher_count(const struct publisher *publisher, struct publisher_counts *ret);

/* What has been handed over and not called back yet. */
size_t publisher_pending(const struct publisher *publisher);
bool publisher_up(const struct publisher *publisher);

#endif
