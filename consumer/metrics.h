/* `--metrics ADDR:PORT`: what this worker counts, over HTTP.
 *
 *   metrics.c          the endpoint: libmicrohttpd's sockets, polled on the worker's loop; /metrics, /healthz, /readyz
 *   metrics_jobs.c     jobs by task and outcome; how long they waited and ran
 *   metrics_text.c     the page: all of the worker's own figures
 *   metrics_process.c  this process and its children: CPU, memory, descriptors
 *   metrics_fleet.c    the whole fleet's: asked of Redis and RabbitMQ now and then, never by a request
 *
 * A request is answered from memory and /proc; it waits for nobody. Labels are bounded: the pool is the worker's own
 * (the fleet's figures name 64 pools at most), tasks are the handlers that it knows and `other`, all else is of a
 * table.
 * To add a metric: a line in metrics_text.c (or beside it), and a row in docs/metrics.md, which a test compares. */
#ifndef FLOTILLA_CONSUMER_METRICS_H
#define FLOTILLA_CONSUMER_METRICS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "store/store.h"

struct item;
struct worker;
struct metrics;

/* Checks ADDR:PORT without looking anything up; as a setting's `check`. */
int metrics_check(const char *text, struct err *err);

/* Listens, if the worker is to: worker->metrics is NULL else, and all below then does nothing. ERR_USAGE where the
 * address cannot be this machine's, ERR_SERVICE where the port is taken. */
int metrics_open(struct worker *worker, struct err *err);
/* Once there are the executor and the store. */
void metrics_start(struct worker *worker);
/* Frees once the loop has run. */
void metrics_close(struct worker *worker);

/* --- what befalls a job; no clock is read but the loop's --- */

void metrics_begun(struct item *item);
void metrics_ran(struct item *item);
/* What Redis answered to its outcome (settle, succeed, refuse); `task` NULL: none that is known. */
void metrics_settled(struct item *item, const struct store_reply *reply);
enum metrics_outcome {
	METRICS_SUCCEEDED,
	METRICS_FAILED,
	METRICS_CANCELLED,
	METRICS_RETRIED,
	METRICS_HANDED_BACK,
	METRICS_LOST,
	METRICS_OUTCOMES
};
void metrics_outcome(struct item *item, enum metrics_outcome outcome);

#endif
