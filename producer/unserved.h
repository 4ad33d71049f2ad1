/* Jobs that are queued where no worker is: said to people who wait for them, and listed. */
#ifndef FLOTILLA_PRODUCER_UNSERVED_H
#define FLOTILLA_PRODUCER_UNSERVED_H

#include "session.h"
#include "workers.h"

/* The jobs that somebody waits for; the caller releases `ret`. 0, or an error. */
typedef int unserved_jobs(void *data, struct ids *ret, struct err *err);

/* session_run for somebody who waits for jobs: when that has taken some seconds it says on standard error, once, which
 * pools no worker serves while `jobs` of them are queued there. `command`: whose words these are. */
int unserved_run(struct session *session, bool (*until)(void *data), int64_t timeout_ms, const char *command,
		 unserved_jobs *jobs, void *data, struct err *err);

/* Adds the pools that invitations are owed to and that `pools` has not, as far as a sample of the outbox shows. */
int unserved_pools(struct session *session, const struct texts *pools, struct ids *ret, struct err *err);

#endif
