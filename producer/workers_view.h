/* Workers as people and programs see them. */
#ifndef FLOTILLA_PRODUCER_WORKERS_VIEW_H
#define FLOTILLA_PRODUCER_WORKERS_VIEW_H

#include <jansson.h>

#include "workers.h"

/* Appends a table. */
void workers_table(const struct workers *workers, bool fancy, struct buf *ret);
/* The caller has the reference. */
json_t *worker_json(const struct worker *worker);

#endif
