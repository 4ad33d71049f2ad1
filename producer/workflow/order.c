/* The order in which jobs can run, and the words for a cycle, in which none can. */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "workflow/plan.h"

struct successors successors_of(const struct workflow_job *jobs, size_t count)
{
	struct successors next = {.start = xcalloc(count + 2, sizeof *next.start)};
	size_t *fill = next.start + 1;

	/* Counted two places on and summed, `fill[i]` is where i's begin; filling moves it to where they end. */
	for (size_t i = 0; i < count; i++)
		for (size_t k = 0; k < jobs[i].after_count; k++)
			next.start[jobs[i].after[k].from + 2]++;
	for (size_t i = 2; i < count + 2; i++)
		next.start[i] += next.start[i - 1];
	next.to = xmalloc(next.start[count + 1] * sizeof *next.to);
	for (size_t i = 0; i < count; i++)
		for (size_t k = 0; k < jobs[i].after_count; k++)
			next.to[fill[jobs[i].after[k].from]++] = i;
	return next;
}

size_t order_jobs(const struct workflow_job *jobs, size_t count, size_t *order)
{
	CLEANUP(freep) size_t *waits = xmalloc(count * sizeof *waits);
	struct successors next = successors_of(jobs, count);
	size_t done = 0, tail = 0;

	for (size_t i = 0; i < count; i++) {
		waits[i] = jobs[i].after_count;
		if (!waits[i])
			order[tail++] = i;
	}
	for (; done < tail; done++)
		for (size_t k = next.start[order[done]]; k < next.start[order[done] + 1]; k++)
			if (--waits[next.to[k]] == 0)
				order[tail++] = next.to[k];
	free(next.start);
	free(next.to);
	return done;
}

/* A predecessor of `index` that is in no order either: there is one, or `index` would have been ordered. */
static size_t stuck_before(const struct workflow_job *jobs, size_t index, const char *ordered)
{
	for (size_t k = 0; k < jobs[index].after_count; k++)
		if (!ordered[jobs[index].after[k].from])
			return jobs[index].after[k].from;
	abort();
}

/* Walks back from a stuck job until one comes again: those since then are a cycle, found from its end. Returns its
 * length; `cycle` holds it, each job before the next. */
static size_t find_cycle(const struct workflow_job *jobs, size_t count, const char *ordered, size_t *cycle)
{
	CLEANUP(freep) size_t *step = xcalloc(count, sizeof *step);
	CLEANUP(freep) size_t *path = xmalloc((count + 1) * sizeof *path);
	size_t at = 0, len = 0, first;

	while (ordered[at])
		at++;
	while (!step[at]) {
		path[len++] = at;
		step[at] = len;
		at = stuck_before(jobs, at, ordered);
	}
	first = step[at] - 1;
	len -= first;
	for (size_t i = 0; i < len; i++)
		cycle[i] = path[first + len - 1 - i];
	return len;
}

/* As many names as one line of error holds, and how many there are where that is not all. */
static void cycle_words(const struct plan *plan, const size_t *cycle, size_t len, size_t start, struct buf *words)
{
	const size_t room = sizeof((struct err *)NULL)->text / 2;

	for (size_t i = 0; i < len; i++) {
		const char *name = plan->jobs[cycle[(start + i) % len]].name;
		if (i && words->len + strlen(name) > room) {
			buf_addf(words, "… (%zu more) → ", len - i);
			break;
		}
		buf_addf(words, "%s → ", name);
	}
	buf_adds(words, plan->jobs[cycle[start]].name);
}

int order_cycle(const struct plan *plan, const struct workflow_job *jobs, const size_t *order, size_t done,
		struct err *err)
{
	CLEANUP(freep) char *ordered = xcalloc(plan->count, 1);
	CLEANUP(freep) size_t *cycle = xmalloc(plan->count * sizeof *cycle);
	CLEANUP(buf_release) struct buf words = BUF_INIT;
	size_t len, start = 0;

	for (size_t i = 0; i < done; i++)
		ordered[order[i]] = 1;
	len = find_cycle(jobs, plan->count, ordered, cycle);
	for (size_t i = 1; i < len; i++)
		if (cycle[i] < cycle[start])
			start = i;
	cycle_words(plan, cycle, len, start, &words);
	return plan_error(plan, plan->jobs[cycle[start]].line, err, ERR_INPUT,
			  "these jobs wait for one another: %s; take out one `after`", words.data);
}
