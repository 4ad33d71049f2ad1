/* What the files of metrics.h share. Not for others. */
#ifndef FLOTILLA_CONSUMER_METRICS_INTERNAL_H
#define FLOTILLA_CONSUMER_METRICS_INTERNAL_H

#include <microhttpd.h>
#include <uv.h>

#include "exposition.h"
#include "metrics.h"
#include "worker.h"

#define METRICS_BUCKETS 14

struct histogram {
	uint64_t counts[METRICS_BUCKETS]; /* each by itself; the page adds them up */
	uint64_t count;
	int64_t sum_ms;
};

struct task_counts {
	const char *name;
	uint64_t outcomes[METRICS_OUTCOMES];
	struct histogram wait, run, total;
};

#define METRICS_POOLS 64

struct pool_sums {
	int64_t workers, slots, running, held;
};

/* A pool of the fleet, as the caretaker's role sees it. */
struct pool_figures {
	char name[64];
	struct pool_sums shown, counting;
	int64_t ready[WORKER_LEVELS]; /* messages; negative: no such queue, or not known */
};

/* The indices of which the sizes are shown, in the order of figures.lua's answer. */
enum fleet_index {
	INDEX_SCHEDULED,
	INDEX_OUTBOX,
	INDEX_SETTLING,
	INDEX_REPLIES,
	INDEX_LEASES,
	INDEX_WORKERS,
	INDEX_COUNT
};
/* Queues of the fleet in which messages lie that wait for somebody to look. */
enum fleet_queue { QUEUE_UNROUTED, QUEUE_RETURNED, QUEUE_REJECTED, QUEUE_COUNT };

/* metrics_fleet.c; times are monotonic ms. */
struct figures {
	int64_t answered_at; /* 0: never */
	bool asking;
	size_t jobs_open, workers_open; /* asked about, and not answered yet */
	int64_t size[INDEX_COUNT], lag_ms[INDEX_COUNT];
	int64_t settling_lag_ms;   /* the longest so far of those asked about */
	struct store_reply *ended; /* state, count, state, count …; NULL: not known */
	bool role;                 /* what follows is known too */
	struct pool_figures pools[METRICS_POOLS];
	size_t pool_count;
	int64_t parked[QUEUE_COUNT];
};

struct metrics {
	struct worker *worker;
	struct MHD_Daemon *daemon;
	uv_poll_t poll;
	uv_timer_t timer, ask_timer;
	size_t open_handles;
	struct task_counts *tasks; /* by name; `other` is the last */
	size_t task_count;
	char *names;
	double children_cpu; /* as last shown: a counter never goes down */
	struct figures figures;
};

/* metrics_jobs.c */
void metrics_jobs_open(struct metrics *metrics);
void metrics_jobs_close(struct metrics *metrics);
void metrics_jobs_write(const struct metrics *metrics, struct buf *out);

/* metrics_text.c */
void metrics_write(struct metrics *metrics, struct buf *out);

/* metrics_process.c */
void metrics_process_write(struct metrics *metrics, struct buf *out);

/* metrics_fleet.c */
void metrics_fleet_open(struct metrics *metrics);
void metrics_fleet_close(struct metrics *metrics);
void metrics_fleet_write(const struct metrics *metrics, struct buf *out);

#endif
