/* A handler that computes: args are the rounds of bench/spin.h, none or 0 is a no-op. */
#include <stdlib.h>

#include "bench/spin.h"
#include "flotilla/handler.h"

static volatile uint64_t kept;

static int run(struct flotilla_job *job, void *state)
{
	(void)state;
	kept = spin(strtoull(flotilla_job_args(job), NULL, 10), kept + 1);
	return 0;
}

const struct flotilla_handler flotilla_handler = {FLOTILLA_HANDLER_VERSION, .run = run};
