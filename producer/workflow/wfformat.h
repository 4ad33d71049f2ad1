/* WfFormat 1.5: workflows as they were recorded, made into jobs of the `replay` handler. Private to this directory.
 *
 * A task's inputs are those of its files that are sure to be there: files that no task writes, which
 * workflow_replay_prepare makes, and files that one of its ancestors writes. A file that only others write is left out:
 * the recording does not say that it waited for them. A file with several writers is written by each.
 */
#ifndef FLOTILLA_PRODUCER_WORKFLOW_WFFORMAT_H
#define FLOTILLA_PRODUCER_WORKFLOW_WFFORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "workflow/plan.h"

/* A task as the file has it; the numbers are into the recording's tables. Names are the JSON document's. */
struct wf_task {
	const char *id, *name;
	int line;
	double seconds; /* negative: no execution data yet */
	size_t *inputs, *outputs;
	size_t input_count, output_count;
};

struct wf_file {
	char *name; /* relative to the run's directory */
	int64_t size;
	size_t writers; /* how many tasks write it */
};

struct recording {
	struct wf_task *tasks;
	size_t task_count;
	struct wf_file *files;
	size_t file_count;
};

/* Fills `workflow` if the text is WfFormat, and sets `*recorded`; else leaves all as it is (0: it may be YAML).
 * ERR_INPUT for a recording that is not whole, ERR_USAGE where the scale is missing. */
int wfformat_read(const struct buf *text, const struct workflow_options *options, struct plan *plan,
		  struct workflow *workflow, bool *recorded, struct err *err);

/* Finds the lines of the tasks in the text, which is JSON. */
void wf_task_lines(const char *text, struct recording *recording);

/* Packs the jobs of a workflow whose edges are known. `order`: the task of each job. */
int replay_jobs(const struct recording *recording, const size_t *order, const struct workflow_options *options,
		const struct plan *plan, struct workflow *workflow, struct err *err);

#endif
