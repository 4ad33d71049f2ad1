#include "broker/known.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "base/buf.h"
#include "broker/topology.h"

struct known_queue {
	UT_hash_handle hh;
	char name[];
};

static void remember(struct known *known, const char *name)
{
	struct known_queue *queue = xmalloc(sizeof *queue + strlen(name) + 1);
	memcpy(queue->name, name, strlen(name) + 1);
	HASH_ADD_STR(known->queues, name, queue);
}

int known_declare(struct known *known, struct broker *broker, uint16_t channel, const char *prefix,
		  const struct publication *publication, struct err *err)
{
	struct known_queue *queue;
	int r = 0;

	HASH_FIND_STR(known->queues, publication->queue, queue);
	if (queue)
		return 0;
	if (!known->fleet)
		r = topology_declare_fleet(broker, channel, prefix, err);
	if (r == ERR_SERVICE)
		return r;
	known->fleet = true;
	r = topology_declare_queue(broker, channel, prefix, publication->pool, publication->priority, err);
	if (r == ERR_SERVICE)
		return r;
	remember(known, publication->queue);
	return 0;
}

void known_forget(struct known *known, const char *queue)
{
	struct known_queue *found;
	HASH_FIND_STR(known->queues, queue, found);
	if (found) {
		HASH_DEL(known->queues, found);
		free(found);
	}
}

void known_forget_all(struct known *known)
{
	struct known_queue *queue, *next;
	HASH_ITER(hh, known->queues, queue, next)
	{
		HASH_DEL(known->queues, queue);
		free(queue);
	}
	known->fleet = false;
}
