/* What the readers (YAML, WfFormat) make of a file before it is checked: jobs in the order of the file, with their
 * predecessors by name or by number. plan_resolve turns it into a workflow. Private to this directory.
 */
#ifndef FLOTILLA_PRODUCER_WORKFLOW_PLAN_H
#define FLOTILLA_PRODUCER_WORKFLOW_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "workflow/workflow.h"

/* The most jobs and dependencies that one file can make: a matrix multiplies quickly. */
#define PLAN_MAX_JOBS ((size_t)1000000)
#define PLAN_MAX_EDGES ((size_t)10000000)

struct plan_dep {
	char *name;   /* a job or a matrix; NULL: `index` says which */
	size_t index; /* into plan.jobs */
	enum job_when when;
	int line;
};

struct plan_job {
	char *name; /* made of the characters that an id can have */
	int line;   /* 0: not known */
	char *fields;
	size_t fields_len;
	int64_t expires_ms;
	struct plan_dep *deps;
	size_t dep_count, dep_cap;
};

/* What a name stands for: one job, or the members of a matrix, which are neighbours. */
struct plan_name;

struct plan {
	const char *file; /* as errors name it; borrowed */
	struct plan_job *jobs;
	size_t count, cap;
	struct plan_name *names;
};

void plan_release(struct plan *plan);

/* Appends a job and returns it; valid until the next one is added. `name` is copied. */
struct plan_job *plan_add(struct plan *plan, const char *name, int line);
void plan_depend(struct plan_job *job, char *take_name, size_t index, enum job_when when, int line);
/* Lets `name` stand for the `count` jobs from `first` on. ERR_INPUT where it stands for something already. */
int plan_name_add(struct plan *plan, const char *name, size_t first, size_t count, int line, struct err *err);
bool plan_name_taken(const struct plan *plan, const char *name);

/* Fills `err` with "FILE:LINE: text" (no line where it is 0). */
int plan_error(const struct plan *plan, int line, struct err *err, int code, const char *format, ...)
	__attribute__((format(printf, 5, 6)));

/* Finds every predecessor, refuses unknown ones and cycles, and moves the jobs to `ret->jobs`, every job after its
 * predecessors, otherwise as near to breadth first as the file's order lets it. `order`, if not NULL, gets the place in
 * the file of each job of `ret` (the caller frees). The plan is empty afterwards, but for its release. */
int plan_resolve(struct plan *plan, size_t max_body, struct workflow *ret, size_t **order, struct err *err);

/* Runs a job's fields (a MessagePack map) through the checks of the wire. `wire` then is the field that is refused by
 * itself, or empty where it is no single one. */
#define WIRE_NAME_SIZE 32
int fields_check(const char *fields, size_t len, const struct job_limits *limits, char wire[WIRE_NAME_SIZE],
		 struct err *err);

/* Where the successors of each job are: those of job i are to[start[i]] … to[start[i + 1] - 1]. Free both. */
struct successors {
	size_t *start;
	size_t *to;
};
struct successors successors_of(const struct workflow_job *jobs, size_t count);

/* Whether the `replay` handler runs it. */
bool job_is_replay(const struct workflow_job *job);

/* Puts the jobs that no cycle holds in order: `order[k]` is the k-th. Returns how many there are. `after` of `jobs` are
 * places in the file. */
size_t order_jobs(const struct workflow_job *jobs, size_t count, size_t *order);
/* Says which jobs wait for one another. `order` holds the `done` jobs that do not. */
int order_cycle(const struct plan *plan, const struct workflow_job *jobs, const size_t *order, size_t done,
		struct err *err);

/* A name as an id can have it: other characters become `_`, and `/` too where `slash` is false. In place. */
void name_clean(char *name, bool slash);

/* The largest file that a replayed task reads or writes, and that workflow_replay_prepare makes. */
#define FILE_MAX_SIZE (INT64_C(1) << 40)
#define FILE_MAX_INPUT (INT64_C(64) << 20)

/* A file's name as a relative path in the run's directory: no leading slash, no empty, `.` or `..` part. NULL where
 * nothing is left or a part is too long; else the caller's to free(). */
char *file_name_clean(const char *name);

/* The nearest of the names that `next` hands out (NULL: no more), or NULL where none is near. */
const char *nearest_name(const char *name, const char *(*next)(void *data), void *data);

#endif
