/* A workflow's run: its record, the submission of its jobs, the way to its end, the report. */
#ifndef FLOTILLA_PRODUCER_RUN_H
#define FLOTILLA_PRODUCER_RUN_H

#include <signal.h>

#include "session.h"
#include "workflow/workflow.h"

struct run {
	struct session *session;
	const struct workflow *workflow;
	char *name;       /* nightly-42 */
	char *shared_dir; /* of a replay: absolute; else NULL */
	bool existed;     /* the same file was submitted under this name before */
	int64_t began_ms; /* by the monotonic clock */

	size_t submitted, known; /* registrations that have ended; those that were there before */
	size_t sent;
	struct err failure; /* the first registration that Redis refused; code 0: none */
};

/* Jobs in each state, as the run's hash counts them. */
struct run_counts {
	int64_t jobs, in[JOB_STATE_COUNT];
};
int64_t run_ended(const struct run_counts *counts);

/* Settles the run's name (`wanted`, or the workflow's and a counter) and claims it for this file. `shared_dir` NULL:
 * the default. ERR_USAGE where the name exists with another file. */
int run_claim(struct run *run, const char *wanted, const char *shared_dir, struct err *err);
void run_release(struct run *run);

struct progress;

/* Submits all jobs, pipelined, in order; `progress` (may be NULL) is told. */
int run_submit(struct run *run, struct progress *progress, struct err *err);
/* Follows the run to its end. `ret` is how it ended. */
int run_follow(struct run *run, struct progress *progress, struct run_counts *ret, struct err *err);
int run_counts_read(struct session *session, const char *name, struct run_counts *ret, struct err *err);

/* The summary, on standard output: people's, or one JSON document. An exit code or an error. */
int run_report(struct run *run, const struct run_counts *counts, bool json, struct err *err);

/* --- progress, on standard error -----------------------------------------------------------------------------------
 */

/* On a terminal a bar, elsewhere a line when something changed, at most every two seconds. */
struct progress {
	const char *name;
	int64_t total, began_ms, last_ms;
	bool terminal, drawn;
	struct run_counts last;
};
void progress_init(struct progress *progress, const char *name, size_t total);
void progress_submitting(struct progress *progress, size_t submitted);
void progress_counts(struct progress *progress, const struct run_counts *counts);
/* Something else is about to be printed: it begins on a new line, and the bar is drawn below it. */
void progress_break(struct progress *progress);
/* The last word: the bar stays as it is, and what follows begins on a new line. */
void progress_end(struct progress *progress, const struct run_counts *counts);

#endif
