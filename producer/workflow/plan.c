#include "workflow/plan.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "base/cleanup.h"

struct plan_name {
	char *name;
	size_t first, count;
	int line;
	UT_hash_handle hh;
};

static void job_clear(struct plan_job *job)
{
	for (size_t i = 0; i < job->dep_count; i++)
		free(job->deps[i].name);
	free(job->deps);
	free(job->fields);
	free(job->name);
}

static void names_clear(struct plan *plan)
{
	struct plan_name *name, *next;

	HASH_ITER(hh, plan->names, name, next)
	{
		HASH_DEL(plan->names, name);
		free(name->name);
		free(name);
	}
}

void plan_release(struct plan *plan)
{
	for (size_t i = 0; i < plan->count; i++)
		job_clear(&plan->jobs[i]);
	free(plan->jobs);
	names_clear(plan);
	*plan = (struct plan){.file = plan->file};
}

struct plan_job *plan_add(struct plan *plan, const char *name, int line)
{
	struct plan_job *job;

	if (plan->count == plan->cap) {
		plan->cap = plan->cap ? plan->cap * 2 : 64;
		plan->jobs = xrealloc(plan->jobs, plan->cap * sizeof *plan->jobs);
	}
	job = &plan->jobs[plan->count++];
	*job = (struct plan_job){.name = xstrdup(name), .line = line, .expires_ms = -1};
	return job;
}

void plan_depend(struct plan_job *job, char *take_name, size_t index, enum job_when when, int line)
{
	if (job->dep_count == job->dep_cap) {
		job->dep_cap = job->dep_cap ? job->dep_cap * 2 : 4;
		job->deps = xrealloc(job->deps, job->dep_cap * sizeof *job->deps);
	}
	job->deps[job->dep_count++] = (struct plan_dep){.name = take_name, .index = index, .when = when, .line = line};
}

static struct plan_name *name_find(const struct plan *plan, const char *name)
{
	struct plan_name *found;
	HASH_FIND_STR(plan->names, name, found);
	return found;
}

bool plan_name_taken(const struct plan *plan, const char *name) { return name_find(plan, name) != NULL; }

int plan_name_add(struct plan *plan, const char *name, size_t first, size_t count, int line, struct err *err)
{
	struct plan_name *entry = name_find(plan, name);

	if (entry)
		return plan_error(plan, line, err, ERR_INPUT,
				  "two jobs are called %s (the other at line %d); other characters than "
				  "A-Za-z0-9._/@+=,- became _: rename one",
				  name, entry->line);
	entry = xcalloc(1, sizeof *entry);
	*entry = (struct plan_name){.name = xstrdup(name), .first = first, .count = count, .line = line};
	HASH_ADD_KEYPTR(hh, plan->names, entry->name, strlen(entry->name), entry);
	return 0;
}

int plan_error(const struct plan *plan, int line, struct err *err, int code, const char *format, ...)
{
	va_list ap;
	char text[sizeof err->text];

	va_start(ap, format);
	vsnprintf(text, sizeof text, format, ap);
	va_end(ap);
	if (line > 0)
		return err_set(err, code, "%s:%d: %s", plan->file, line, text);
	return err_set(err, code, "%s: %s", plan->file, text);
}

static const char *next_name(void *data)
{
	struct plan_name **at = data;
	struct plan_name *name = *at;

	if (!name)
		return NULL;
	*at = name->hh.next;
	return name->name;
}

static int unknown_name(const struct plan *plan, const struct plan_job *job, const struct plan_dep *dep,
			struct err *err)
{
	struct plan_name *at = plan->names;
	const char *near = nearest_name(dep->name, next_name, &at);

	if (near)
		return plan_error(plan, dep->line, err, ERR_INPUT,
				  "%s is after %s, but no job here is called that; is %s meant?", job->name, dep->name,
				  near);
	return plan_error(plan, dep->line, err, ERR_INPUT,
			  "%s is after %s, but no job here is called that: name one of the file's jobs", job->name,
			  dep->name);
}

/* What the edges of one job are gathered in. */
struct edges {
	struct workflow_edge *items;
	size_t count, cap;
	size_t total;  /* of all jobs so far */
	size_t *seen;  /* by job: 1 + the job that named it last */
	size_t *place; /* by job: where that edge is in `items` */
};

static int edge_add(const struct plan *plan, size_t to, size_t from, const struct plan_dep *dep, struct edges *edges,
		    struct err *err)
{
	struct workflow_edge *old;

	if (edges->seen[from] == to + 1) {
		old = &edges->items[edges->place[from]];
		if (old->when == dep->when)
			return 0;
		return plan_error(plan, dep->line, err, ERR_INPUT,
				  "%s is after %s twice, with when: %s and when: %s; keep one (when: ended is both)",
				  plan->jobs[to].name, plan->jobs[from].name, job_when_name(old->when),
				  job_when_name(dep->when));
	}
	if (edges->count == edges->cap) {
		edges->cap = edges->cap ? edges->cap * 2 : 64;
		edges->items = xrealloc(edges->items, edges->cap * sizeof *edges->items);
	}
	edges->seen[from] = to + 1;
	edges->place[from] = edges->count;
	edges->items[edges->count++] = (struct workflow_edge){.from = from, .when = dep->when};
	if (++edges->total > PLAN_MAX_EDGES)
		return plan_error(plan, dep->line, err, ERR_INPUT,
				  "more than %zu dependencies in all; put a job between the two groups",
				  PLAN_MAX_EDGES);
	return 0;
}

static int job_edges(const struct plan *plan, size_t index, size_t max_body, struct edges *edges, struct err *err)
{
	const struct plan_job *job = &plan->jobs[index];
	size_t bytes = job->fields_len;
	int r;

	edges->count = 0;
	for (size_t i = 0; i < job->dep_count; i++) {
		const struct plan_dep *dep = &job->deps[i];
		const struct plan_name *name = dep->name ? name_find(plan, dep->name) : NULL;
		size_t first = name ? name->first : dep->index;
		size_t count = name ? name->count : 1;

		if (dep->name && !name)
			return unknown_name(plan, job, dep, err);
		for (size_t from = first; from < first + count; from++) {
			r = edge_add(plan, index, from, dep, edges, err);
			if (r < 0)
				return r;
			/* An id is at least "r/NAME" with its header. */
			bytes += strlen(plan->jobs[from].name) + 4;
			if (bytes > max_body)
				return plan_error(plan, dep->line, err, ERR_INPUT,
						  "%s has too many predecessors for one message (%zu bytes at most); "
						  "put a job between them",
						  job->name, max_body);
		}
	}
	return 0;
}

/* The jobs with their edges, still in the order of the file. Takes nothing from the plan yet. */
static int all_edges(const struct plan *plan, size_t max_body, struct workflow_job *jobs, struct err *err)
{
	CLEANUP(freep) size_t *seen = xcalloc(plan->count, sizeof *seen);
	CLEANUP(freep) size_t *place = xcalloc(plan->count, sizeof *place);
	struct edges edges = {.seen = seen, .place = place};
	int r = 0;

	for (size_t i = 0; i < plan->count && r == 0; i++) {
		r = job_edges(plan, i, max_body, &edges, err);
		if (r < 0)
			break;
		jobs[i].after_count = edges.count;
		jobs[i].after = xmalloc(edges.count * sizeof *edges.items);
		if (edges.count)
			memcpy(jobs[i].after, edges.items, edges.count * sizeof *edges.items);
	}
	free(edges.items);
	return r;
}

static void jobs_move(struct plan *plan, struct workflow_job *jobs, const size_t *order, struct workflow *ret)
{
	CLEANUP(freep) size_t *place = xmalloc(plan->count * sizeof *place);

	for (size_t i = 0; i < plan->count; i++)
		place[order[i]] = i;
	ret->count = plan->count;
	ret->jobs = xcalloc(plan->count, sizeof *ret->jobs);
	for (size_t i = 0; i < plan->count; i++) {
		struct plan_job *from = &plan->jobs[order[i]];
		struct workflow_job *to = &ret->jobs[i];

		*to = jobs[order[i]];
		for (size_t k = 0; k < to->after_count; k++)
			to->after[k].from = place[to->after[k].from];
		to->name = TAKE_PTR(from->name);
		to->line = from->line;
		to->fields = TAKE_PTR(from->fields);
		to->fields_len = from->fields_len;
		to->expires_ms = from->expires_ms;
	}
}

int plan_resolve(struct plan *plan, size_t max_body, struct workflow *ret, size_t **order, struct err *err)
{
	CLEANUP(freep) struct workflow_job *jobs = xcalloc(plan->count, sizeof *jobs);
	CLEANUP(freep) size_t *places = xmalloc(plan->count * sizeof *places);
	size_t done;
	int r;

	r = all_edges(plan, max_body, jobs, err);
	if (r == 0) {
		done = order_jobs(jobs, plan->count, places);
		if (done < plan->count)
			r = order_cycle(plan, jobs, places, done, err);
	}
	if (r < 0) {
		for (size_t i = 0; i < plan->count; i++)
			free(jobs[i].after);
		return r;
	}
	jobs_move(plan, jobs, places, ret);
	if (order)
		*order = TAKE_PTR(places);
	return 0;
}
