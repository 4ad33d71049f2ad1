/* A workflow for people: as Graphviz, and as an indented list. */
#include <string.h>

#include "base/cleanup.h"
#include "workflow/fields_of.h"
#include "workflow/plan.h"

#define LEVEL_MAX 20 /* deeper jobs are indented no further */
#define SHOWN_MAX 4  /* as many predecessors are named */

static void add_task(struct buf *ret, const struct workflow_job *job)
{
	msgpack_unpacked unpacked;
	const msgpack_object *task = fields_get(fields_open(job, &unpacked), "task");

	/* A task may hold anything but a control character stays out of a terminal, a quote out of Graphviz. */
	for (uint32_t i = 0; task && i < task->via.str.size; i++) {
		char c = task->via.str.ptr[i];
		if ((unsigned char)c < ' ' || c == 0x7f || c == '"' || c == '\\')
			c = '_';
		buf_add(ret, &c, 1);
	}
	msgpack_unpacked_destroy(&unpacked);
}

void workflow_dot(const struct workflow *workflow, struct buf *ret)
{
	buf_addf(ret, "digraph \"%s\" {\n\trankdir=LR;\n\tnode [shape=box];\n", workflow->name);
	for (size_t i = 0; i < workflow->count; i++) {
		buf_addf(ret, "\t\"%s\" [tooltip=\"", workflow->jobs[i].name);
		add_task(ret, &workflow->jobs[i]);
		buf_adds(ret, "\"];\n");
	}
	for (size_t i = 0; i < workflow->count; i++)
		for (size_t k = 0; k < workflow->jobs[i].after_count; k++) {
			const struct workflow_edge *edge = &workflow->jobs[i].after[k];

			buf_addf(ret, "\t\"%s\" -> \"%s\"", workflow->jobs[edge->from].name, workflow->jobs[i].name);
			if (edge->when != JOB_WHEN_SUCCEEDED)
				buf_addf(ret, " [label=\"%s\", style=dashed]", job_when_name(edge->when));
			buf_adds(ret, ";\n");
		}
	buf_adds(ret, "}\n");
}

static void add_after(struct buf *ret, const struct workflow *workflow, const struct workflow_job *job)
{
	size_t shown = job->after_count <= SHOWN_MAX ? job->after_count : SHOWN_MAX - 1;

	for (size_t i = 0; i < shown; i++) {
		const struct workflow_edge *edge = &job->after[i];

		buf_addf(ret, "%s%s", i ? ", " : "  after ", workflow->jobs[edge->from].name);
		if (edge->when != JOB_WHEN_SUCCEEDED)
			buf_addf(ret, " (%s)", job_when_name(edge->when));
	}
	if (shown < job->after_count)
		buf_addf(ret, " and %zu more", job->after_count - shown);
}

void workflow_text(const struct workflow *workflow, struct buf *ret)
{
	CLEANUP(freep) size_t *level = xcalloc(workflow->count, sizeof *level);
	size_t edges = 0, levels = 0;

	for (size_t i = 0; i < workflow->count; i++) {
		const struct workflow_job *job = &workflow->jobs[i];

		edges += job->after_count;
		for (size_t k = 0; k < job->after_count; k++)
			if (level[job->after[k].from] >= level[i])
				level[i] = level[job->after[k].from] + 1;
		if (level[i] >= levels)
			levels = level[i] + 1;
	}
	buf_addf(ret, "%s: %zu job%s, %zu dependenc%s, %zu level%s\n", workflow->name, workflow->count,
		 workflow->count == 1 ? "" : "s", edges, edges == 1 ? "y" : "ies", levels, levels == 1 ? "" : "s");
	for (size_t i = 0; i < workflow->count; i++) {
		size_t indent = level[i] < LEVEL_MAX ? level[i] : LEVEL_MAX;

		buf_addf(ret, "%*s%s  [", (int)(2 + 2 * indent), "", workflow->jobs[i].name);
		add_task(ret, &workflow->jobs[i]);
		buf_adds(ret, "]");
		add_after(ret, workflow, &workflow->jobs[i]);
		buf_adds(ret, "\n");
	}
}
