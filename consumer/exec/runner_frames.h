/* What the worker says to a runner, as frames appended to `out`. Pure. */
#ifndef FLOTILLA_CONSUMER_EXEC_RUNNER_FRAMES_H
#define FLOTILLA_CONSUMER_EXEC_RUNNER_FRAMES_H

#include "exec/internal.h"

#define RUNNER_PROTOCOL 1

void runner_write_hello(struct buf *out, const struct handler *handler);
/* ERR_INPUT: the results that the caller gave are no JSON. */
int runner_write_job(struct buf *out, const struct attempt *attempt, int64_t seq, struct err *err);
void runner_write_cancel(struct buf *out, int64_t seq);

#endif
