/* The queues that a session has declared already, so that a message to a pool costs no declaration. */
#ifndef FLOTILLA_BROKER_KNOWN_H
#define FLOTILLA_BROKER_KNOWN_H

#include "broker/publication.h"

struct known_queue;

struct known {
	struct known_queue *queues;
	bool fleet; /* what all queues need, topology_declare_fleet */
};

/* Declares the queue of an invitation or a job where it is not known. ERR_SERVICE, or 0: a refusal is no obstacle, for
 * if the queue exists the message arrives, and if not it comes back. */
int known_declare(struct known *known, struct broker *broker, uint16_t channel, const char *prefix,
		  const struct publication *publication, struct err *err);
void known_forget(struct known *known, const char *queue);
void known_forget_all(struct known *known);

#endif
