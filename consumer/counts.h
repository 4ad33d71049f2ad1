/* What a worker counts as it works: plain integers, whether somebody reads them (metrics.h) or not. */
#ifndef FLOTILLA_CONSUMER_COUNTS_H
#define FLOTILLA_CONSUMER_COUNTS_H

#include <stdint.h>

/* How Redis answered a claim; all but the first are refusals. The texts are values of a label. */
#define COUNT_CLAIM_MAP(X)                                                                                             \
	X(COUNT_CLAIM_TAKEN, "")                                                                                       \
	X(COUNT_CLAIM_NOT_QUEUED, "not queued") /* it runs or has ended: what a duplicate delivery comes to */         \
	X(COUNT_CLAIM_EXPIRED, "expired")                                                                              \
	X(COUNT_CLAIM_UNSIGNED, "not signed")                                                                          \
	X(COUNT_CLAIM_POOL, "other pool")                                                                              \
	X(COUNT_CLAIM_TASK, "unknown task")                                                                            \
	X(COUNT_CLAIM_LATER, "no slot") /* it has lost workers: it is claimed for a free slot only */                  \
	X(COUNT_CLAIM_GONE, "gone")                                                                                    \
	X(COUNT_CLAIM_ERROR, "error")

/* What the caretaker found undone and took in hand. */
#define COUNT_CARE_MAP(X)                                                                                              \
	X(COUNT_CARE_DUE, "scheduled")                                                                                 \
	X(COUNT_CARE_EXPIRED, "deadline")                                                                              \
	X(COUNT_CARE_OUTBOX, "invitation")                                                                             \
	X(COUNT_CARE_SETTLING, "settling")                                                                             \
	X(COUNT_CARE_REPLIES, "reply")                                                                                 \
	X(COUNT_CARE_LOST, "lease")                                                                                    \
	X(COUNT_CARE_WORKERS, "worker")

#define COUNT_CONNECTION_MAP(X)                                                                                        \
	X(COUNT_CONSUME, "consume")                                                                                    \
	X(COUNT_PUBLISH, "publish")                                                                                    \
	X(COUNT_REDIS, "redis")

#define X(name, text) name,
enum count_claim { COUNT_CLAIM_MAP(X) COUNT_CLAIMS };
enum count_care { COUNT_CARE_MAP(X) COUNT_CARES };
enum count_connection { COUNT_CONNECTION_MAP(X) COUNT_CONNECTIONS };
#undef X

struct counts {
	uint64_t claims[COUNT_CLAIMS];
	uint64_t care[COUNT_CARES];
	uint64_t sessions[COUNT_CONNECTIONS]; /* made */
	uint64_t losses[COUNT_CONNECTIONS];   /* lost, or not to be had */
	uint64_t rejected;                    /* messages that are no job, or one that Redis refused */
	uint64_t moved;                       /* messages that the broker gave up on, published once more */
};

#endif
