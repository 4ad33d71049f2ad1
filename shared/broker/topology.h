/* The names of exchanges and queues (the only place where they are spelled), and their declaration (contract, section
 * 2). */
#ifndef FLOTILLA_BROKER_TOPOLOGY_H
#define FLOTILLA_BROKER_TOPOLOGY_H

#include "broker/broker.h"

#define TOPOLOGY_NAME_MAX 256

/* Each writes a NUL-terminated name to `name`, of TOPOLOGY_NAME_MAX bytes. */
void topology_queue(char *name, const char *prefix, const char *pool, const char *priority); /* PREFIX.POOL.PRIORITY */
void topology_unrouted(char *name, const char *prefix);                                      /* PREFIX.unrouted */
void topology_returned(char *name, const char *prefix);
void topology_rejected(char *name, const char *prefix);
/* Whether `queue` is one of the fleet's own (PREFIX.anything); a client may not have its replies put there. */
bool topology_owns(const char *prefix, const char *queue);

/* Declares exchange PREFIX (direct, durable, alternate-exchange PREFIX.unrouted), PREFIX.unrouted (a fanout exchange
 * and its queue), the queues PREFIX.returned and PREFIX.rejected. Blocks. ERR_REFUSED where one is declared otherwise:
 * `err` names the difference. Without the right to declare (403), checks passively that it exists. */
int topology_declare_fleet(struct broker *broker, uint16_t channel, const char *prefix, struct err *err);
/* How many of what topology_declare_fleet declares does not exist, of TOPOLOGY_PARTS, and the name of the first;
 * declares nothing. Blocks. */
#define TOPOLOGY_PARTS 5
int topology_missing(struct broker *broker, uint16_t channel, const char *prefix, size_t *ret_count, char *ret_name,
		     struct err *err);
/* Declares the queue of one pool and priority with the frozen arguments and binds it (POOL.PRIORITY). Blocks; as above.
 */
int topology_declare_queue(struct broker *broker, uint16_t channel, const char *prefix, const char *pool,
			   const char *priority, struct err *err);
/* A queue that is deleted and declared again looks as it did. So workers mark theirs: with an exchange of the queue's
 * name that nobody can publish to, and that the broker deletes together with its only binding, the queue's. Blocks.
 * ERR_REFUSED where the user has no right to it, or such an exchange is there already. */
int topology_mark(struct broker *broker, uint16_t channel, const char *queue, struct err *err);
/* Whether the mark is there: 0, or ERR_NOT_FOUND. Blocks. */
int topology_marked(struct broker *broker, uint16_t channel, const char *queue, struct err *err);

#endif
