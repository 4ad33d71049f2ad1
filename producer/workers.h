/* The fleet's workers, as they last told Redis. */
#ifndef FLOTILLA_PRODUCER_WORKERS_H
#define FLOTILLA_PRODUCER_WORKERS_H

#include "session.h"

struct worker {
	char *name;
	struct store_reply *record; /* its hash */
	int64_t seen_ms;            /* its last sign of life, Redis' clock */
	bool alive;                 /* that is no older than its lease */
};

struct workers {
	struct worker *at; /* by pool and name */
	size_t count;
	int64_t now_ms;
};

int workers_read(struct session *session, struct workers *ret, struct err *err);
void workers_release(struct workers *workers);

/* Forgets those that are not wanted; the others stay in their order. */
void workers_keep(struct workers *workers, bool (*wanted)(const struct worker *worker, const void *data),
		  const void *data);

const char *worker_text(const struct worker *worker, const char *field);
int64_t worker_int(const struct worker *worker, const char *field);
bool worker_serves(const struct worker *worker, const char *pool);
bool worker_knows(const struct worker *worker, const char *task);

/* The names of the pools that live workers serve, the default pool first; each once. Borrowed. */
struct texts workers_pools(const struct workers *workers);

#endif
