/* One job in the runner: behind flotilla/handler.h. */
#ifndef FLOTILLA_CONSUMER_RUNNER_JOB_H
#define FLOTILLA_CONSUMER_RUNNER_JOB_H

#include "flotilla/handler.h"
#include "runner/wire.h"

/* Runs the job of a message (a map, `type` "job") and answers it. */
void runner_run(struct wire *wire, const struct flotilla_handler *handler, void *state, const msgpack_object *message);

#endif
