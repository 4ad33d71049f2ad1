/* The jobs of a replayed workflow, and the directory in which they run. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "workflow/pack.h"
#include "workflow/wfformat.h"

#define NONE SIZE_MAX

/* One task reading one file. */
struct read {
	size_t job, file;
	size_t next; /* the file's next read, or NONE */
	bool ready;  /* the file is sure to be there */
};

struct reads {
	const struct workflow *workflow;
	struct read *items;   /* by job, then in the task's order */
	size_t *first;        /* by file: its first read */
	size_t *writer_start; /* by file, and one more: into `writers` */
	size_t *writers;      /* jobs */
	size_t **before;      /* by job: its predecessors, sorted */
	struct successors next;
	size_t *mark; /* by job: 1 + the file from whose writers it can be reached */
	size_t *queue;
};

static int compare_sizes(const void *a, const void *b)
{
	size_t x = *(const size_t *)a, y = *(const size_t *)b;
	return (x > y) - (x < y);
}

static void sort_before(struct reads *reads)
{
	const struct workflow *workflow = reads->workflow;

	reads->before = xcalloc(workflow->count, sizeof *reads->before);
	for (size_t i = 0; i < workflow->count; i++) {
		const struct workflow_job *job = &workflow->jobs[i];

		reads->before[i] = xmalloc(job->after_count * sizeof **reads->before);
		for (size_t k = 0; k < job->after_count; k++)
			reads->before[i][k] = job->after[k].from;
		if (job->after_count)
			qsort(reads->before[i], job->after_count, sizeof **reads->before, compare_sizes);
	}
}

static void list_writers(struct reads *reads, const struct recording *recording, const size_t *order)
{
	size_t *fill;

	reads->writer_start = xcalloc(recording->file_count + 2, sizeof *fill);
	fill = reads->writer_start + 1;
	for (size_t i = 0; i < recording->task_count; i++)
		for (size_t k = 0; k < recording->tasks[i].output_count; k++)
			reads->writer_start[recording->tasks[i].outputs[k] + 2]++;
	for (size_t i = 2; i < recording->file_count + 2; i++)
		reads->writer_start[i] += reads->writer_start[i - 1];
	reads->writers = xmalloc(reads->writer_start[recording->file_count + 1] * sizeof *fill);
	for (size_t i = 0; i < recording->task_count; i++) {
		const struct wf_task *task = &recording->tasks[order[i]];
		for (size_t k = 0; k < task->output_count; k++)
			reads->writers[fill[task->outputs[k]]++] = i;
	}
}

static void list_reads(struct reads *reads, const struct recording *recording, const size_t *order)
{
	size_t count = 0, at = 0;

	for (size_t i = 0; i < recording->task_count; i++)
		count += recording->tasks[i].input_count;
	reads->items = xcalloc(count, sizeof *reads->items);
	reads->first = xmalloc(recording->file_count * sizeof *reads->first);
	for (size_t i = 0; i < recording->file_count; i++)
		reads->first[i] = NONE;
	for (size_t i = 0; i < recording->task_count; i++) {
		const struct wf_task *task = &recording->tasks[order[i]];
		for (size_t k = 0; k < task->input_count; k++, at++) {
			size_t *first = &reads->first[task->inputs[k]];
			bool twice = *first != NONE && reads->items[*first].job == i;

			reads->items[at] = (struct read){.job = i, .file = task->inputs[k], .next = NONE};
			if (twice)
				continue;
			reads->items[at].next = *first;
			*first = at;
		}
	}
}

/* Marks the jobs that come after a writer of `file`, up to job `last`. */
static void mark_after(struct reads *reads, size_t file, size_t last)
{
	size_t done = 0, tail = 0;

	for (size_t w = reads->writer_start[file]; w < reads->writer_start[file + 1]; w++)
		reads->queue[tail++] = reads->writers[w];
	for (; done < tail; done++) {
		size_t job = reads->queue[done];
		for (size_t k = reads->next.start[job]; k < reads->next.start[job + 1]; k++) {
			size_t to = reads->next.to[k];
			if (to > last || reads->mark[to] == file + 1)
				continue;
			reads->mark[to] = file + 1;
			reads->queue[tail++] = to;
		}
	}
}

static bool directly_after(const struct reads *reads, size_t job, size_t file)
{
	size_t count = reads->workflow->jobs[job].after_count;

	for (size_t w = reads->writer_start[file]; w < reads->writer_start[file + 1] && count; w++)
		if (bsearch(&reads->writers[w], reads->before[job], count, sizeof(size_t), compare_sizes))
			return true;
	return false;
}

/* Finds the reads of `file` that come after a writer of it; of a file without writers all are ready. Most come right
 * after one, so the graph is walked only where one does not. */
static void judge_file(struct reads *reads, size_t file)
{
	bool written = reads->writer_start[file] < reads->writer_start[file + 1];
	bool any = false;
	size_t last = 0;

	for (size_t i = reads->first[file]; i != NONE; i = reads->items[i].next) {
		struct read *item = &reads->items[i];

		item->ready = !written || directly_after(reads, item->job, file);
		any = any || !item->ready;
		if (!item->ready && item->job > last)
			last = item->job;
	}
	if (!any)
		return;
	mark_after(reads, file, last);
	for (size_t i = reads->first[file]; i != NONE; i = reads->items[i].next)
		if (reads->mark[reads->items[i].job] == file + 1)
			reads->items[i].ready = true;
}

static void reads_release(struct reads *reads)
{
	for (size_t i = 0; reads->before && i < reads->workflow->count; i++)
		free(reads->before[i]);
	free(reads->before);
	free(reads->items);
	free(reads->first);
	free(reads->writer_start);
	free(reads->writers);
	free(reads->next.start);
	free(reads->next.to);
	free(reads->mark);
	free(reads->queue);
}

/* The files without a writer that some task reads: the run's directory has to hold them from the start. */
static void list_external(const struct reads *reads, const struct recording *recording, struct workflow *workflow)
{
	workflow->files = xcalloc(recording->file_count, sizeof *workflow->files);
	for (size_t i = 0; i < recording->file_count; i++) {
		struct workflow_file *file = &workflow->files[workflow->file_count];
		int64_t size = recording->files[i].size;

		if (reads->writer_start[i] < reads->writer_start[i + 1] || reads->first[i] == NONE)
			continue;
		file->name = xstrdup(recording->files[i].name);
		file->size = size < FILE_MAX_INPUT ? size : FILE_MAX_INPUT;
		workflow->file_count++;
	}
}

static void pack_inputs(msgpack_packer *packer, const struct recording *recording, const struct read *items,
			size_t count)
{
	size_t ready = 0;

	for (size_t i = 0; i < count; i++)
		ready += items[i].ready;
	pack_text(packer, "inputs");
	msgpack_pack_array(packer, ready);
	for (size_t i = 0; i < count; i++)
		if (items[i].ready)
			pack_text(packer, recording->files[items[i].file].name);
}

static void pack_outputs(msgpack_packer *packer, const struct recording *recording, const struct wf_task *task)
{
	pack_text(packer, "outputs");
	msgpack_pack_array(packer, task->output_count);
	for (size_t i = 0; i < task->output_count; i++) {
		const struct wf_file *file = &recording->files[task->outputs[i]];

		msgpack_pack_map(packer, 2);
		pack_text(packer, "name");
		pack_text(packer, file->name);
		pack_text(packer, "size");
		msgpack_pack_int64(packer, file->size);
	}
}

static void pack_job(const struct recording *recording, const struct wf_task *task, const struct read *items,
		     double scale, struct workflow_job *job)
{
	struct buf packed = BUF_INIT;
	msgpack_packer packer;

	pack_init(&packer, &packed);
	msgpack_pack_map(&packer, 3);
	pack_text(&packer, "task");
	pack_text(&packer, "replay");
	pack_text(&packer, "args");
	msgpack_pack_map(&packer, 3);
	pack_text(&packer, "seconds");
	msgpack_pack_double(&packer, task->seconds * scale);
	pack_inputs(&packer, recording, items, task->input_count);
	pack_outputs(&packer, recording, task);
	pack_text(&packer, "labels");
	msgpack_pack_map(&packer, 1);
	pack_text(&packer, "task");
	pack_text(&packer, task->name);
	job->fields_len = packed.len;
	job->fields = buf_detach(&packed);
}

int replay_jobs(const struct recording *recording, const size_t *order, const struct workflow_options *options,
		const struct plan *plan, struct workflow *workflow, struct err *err)
{
	CLEANUP(reads_release) struct reads reads = {.workflow = workflow};
	char wire[WIRE_NAME_SIZE];
	struct err why;
	size_t at = 0;

	sort_before(&reads);
	list_writers(&reads, recording, order);
	list_reads(&reads, recording, order);
	reads.next = successors_of(workflow->jobs, workflow->count);
	reads.mark = xcalloc(workflow->count, sizeof *reads.mark);
	/* Every job once, and before them the writers, which may be reached from one another. */
	reads.queue = xmalloc((workflow->count + reads.writer_start[recording->file_count]) * sizeof *reads.queue);
	for (size_t i = 0; i < recording->file_count; i++)
		judge_file(&reads, i);
	list_external(&reads, recording, workflow);
	for (size_t i = 0; i < workflow->count; i++) {
		const struct wf_task *task = &recording->tasks[order[i]];
		struct workflow_job *job = &workflow->jobs[i];

		pack_job(recording, task, reads.items + at, options->replay, job);
		at += task->input_count;
		if (fields_check(job->fields, job->fields_len, options->limits, wire, &why) < 0)
			return plan_error(plan, job->line, err, ERR_INPUT, "task %s: %s", task->id, why.text);
	}
	return 0;
}
