/* Jobs by task and outcome, and three histograms of each task. A task is one that this worker has a handler for, or
 * `other`: what a message names does not make a series. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "metrics_internal.h"

static const int64_t bounds_ms[METRICS_BUCKETS] = {1,    5,     10,    50,     100,    500,     1000,
						   5000, 10000, 30000, 120000, 600000, 3600000, 21600000};
/* As they stand in the label `le`: seconds. */
static const char *const bounds_text[METRICS_BUCKETS] = {"0.001", "0.005", "0.01", "0.05", "0.1", "0.5",  "1",
							 "5",     "10",    "30",   "120",  "600", "3600", "21600"};

static const char *const outcome_names[METRICS_OUTCOMES] = {
	[METRICS_SUCCEEDED] = "succeeded", [METRICS_FAILED] = "failed",           [METRICS_CANCELLED] = "cancelled",
	[METRICS_RETRIED] = "retried",     [METRICS_HANDED_BACK] = "handed back", [METRICS_LOST] = "lost",
};

void metrics_jobs_open(struct metrics *metrics)
{
	const char *tasks = executor_tasks(metrics->worker->executor);
	size_t most = 2; /* one more than there are commas, and `other` */
	char *at;

	for (const char *c = tasks; *c; c++)
		most += *c == ',';
	metrics->tasks = xcalloc(most, sizeof *metrics->tasks);
	metrics->names = at = xstrdup(tasks);
	for (char *name; (name = strsep(&at, ",")) != NULL;)
		if (*name && strcmp(name, "other") != 0)
			metrics->tasks[metrics->task_count++].name = name;
	metrics->tasks[metrics->task_count++].name = "other";
}

void metrics_jobs_close(struct metrics *metrics)
{
	free(metrics->tasks);
	free(metrics->names);
}

static int by_name(const void *name, const void *task)
{
	return strcmp(name, ((const struct task_counts *)task)->name);
}

/* executor_tasks sorts them. */
static struct task_counts *find(struct item *item)
{
	struct metrics *metrics = item->worker->metrics;
	struct task_counts *found = NULL;

	if (!item->counted) {
		if (item->decoded && item->job.task)
			found = bsearch(item->job.task, metrics->tasks, metrics->task_count - 1, sizeof *found,
					by_name);
		item->counted = found ? found : &metrics->tasks[metrics->task_count - 1];
	}
	return item->counted;
}

static void observe(struct histogram *histogram, int64_t ms)
{
	size_t i = 0;

	ms = ms < 0 ? 0 : ms;
	while (i < METRICS_BUCKETS && ms > bounds_ms[i])
		i++;
	if (i < METRICS_BUCKETS)
		histogram->counts[i]++;
	histogram->count++;
	histogram->sum_ms += ms;
}

void metrics_begun(struct item *item)
{
	if (item->worker->metrics)
		observe(&find(item)->wait, item->begun - item->queued);
}

/* An instant one has ended within the call that began it. */
void metrics_ran(struct item *item)
{
	if (item->worker->metrics)
		observe(&find(item)->run, item->slot ? (int64_t)uv_now(item->worker->loop) - item->begun : 0);
}

void metrics_outcome(struct item *item, enum metrics_outcome outcome)
{
	if (item->worker->metrics)
		find(item)->outcomes[outcome]++;
}

void metrics_settled(struct item *item, const struct store_reply *reply)
{
	const char *word = store_text_at(reply, 0), *state = store_text_at(reply, 1);

	if (!item->worker->metrics)
		return;
	if (strcmp(word, "retry") == 0) {
		metrics_outcome(item, METRICS_RETRIED);
		return;
	}
	if (strcmp(word, "ended") != 0) {
		if (!store_reply_error(reply))
			metrics_outcome(item, METRICS_LOST);
		return;
	}
	observe(&find(item)->total, (int64_t)uv_now(item->worker->loop) - item->queued);
	for (enum metrics_outcome i = METRICS_SUCCEEDED; i <= METRICS_CANCELLED; i++)
		if (strcmp(state, outcome_names[i]) == 0)
			metrics_outcome(item, i);
}

/* --- the page --- */

static void write_histogram(const struct metrics *metrics, const struct task_counts *task, const char *name,
			    const struct histogram *histogram, struct buf *out)
{
	struct label labels[] = {{"pool", metrics->worker->options.pool}, {"task", task->name}, {0}, {0}};
	char series[64];
	uint64_t below = 0;

	snprintf(series, sizeof series, "%s_bucket", name);
	for (size_t i = 0; i <= METRICS_BUCKETS; i++) {
		labels[2] = (struct label){"le", i < METRICS_BUCKETS ? bounds_text[i] : "+Inf"};
		below += i < METRICS_BUCKETS ? histogram->counts[i] : histogram->count - below;
		exposition_sample(out, series, labels, (double)below);
	}
	labels[2] = (struct label){0};
	snprintf(series, sizeof series, "%s_sum", name);
	exposition_sample(out, series, labels, (double)histogram->sum_ms / 1000);
	snprintf(series, sizeof series, "%s_count", name);
	exposition_sample(out, series, labels, (double)histogram->count);
}

/* `other` is there once there has been one. */
static bool shown(const struct metrics *metrics, size_t i)
{
	const struct task_counts *task = &metrics->tasks[i];

	if (i + 1 < metrics->task_count || task->wait.count > 0)
		return true;
	for (size_t o = 0; o < METRICS_OUTCOMES; o++)
		if (task->outcomes[o] > 0)
			return true;
	return false;
}

void metrics_jobs_write(const struct metrics *metrics, struct buf *out)
{
	static const struct {
		const char *name, *help;
		size_t at;
	} rows[] = {
		{"flotilla_job_wait_seconds", "From when a job was queued to the beginning of its attempt.",
		 offsetof(struct task_counts, wait)},
		{"flotilla_job_run_seconds", "What an attempt took, from its beginning to its end.",
		 offsetof(struct task_counts, run)},
		{"flotilla_job_total_seconds", "From when a job was queued for its last attempt to its end in Redis.",
		 offsetof(struct task_counts, total)},
	};

	exposition_head(out, "flotilla_jobs_total", "counter", "Attempts of jobs by what became of the job.");
	for (size_t i = 0; i < metrics->task_count; i++)
		for (size_t o = 0; o < METRICS_OUTCOMES && shown(metrics, i); o++) {
			const struct label labels[] = {{"pool", metrics->worker->options.pool},
						       {"task", metrics->tasks[i].name},
						       {"outcome", outcome_names[o]},
						       {0}};
			exposition_sample(out, "flotilla_jobs_total", labels, (double)metrics->tasks[i].outcomes[o]);
		}
	for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
		exposition_head(out, rows[r].name, "histogram", rows[r].help);
		for (size_t i = 0; i < metrics->task_count; i++)
			if (shown(metrics, i))
				write_histogram(metrics, &metrics->tasks[i], rows[r].name,
						(const void *)((const char *)&metrics->tasks[i] + rows[r].at), out);
	}
}
