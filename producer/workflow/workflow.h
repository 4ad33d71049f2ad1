/* A workflow file (YAML, contract section 8; or WfFormat 1.5 JSON) read, checked whole, and made into jobs. Pure but
 * for reading the file: nothing is submitted here.
 */
#ifndef FLOTILLA_PRODUCER_WORKFLOW_WORKFLOW_H
#define FLOTILLA_PRODUCER_WORKFLOW_WORKFLOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "job/job.h"

struct workflow_file {
	char *name;
	int64_t size; /* bytes, scaled */
};

/* A predecessor, as an index into workflow.jobs. */
struct workflow_edge {
	size_t from;
	enum job_when when;
};

struct workflow_job {
	char *name; /* within the file: "pick", "train.lr=0.1,depth=2" */
	int line;   /* where it stands in the file */
	struct workflow_edge *after;
	size_t after_count;
	char *fields; /* a MessagePack map of all the job's wire fields but `id`, `run` and `after` (durations made ms
		       * or s; `expires` kept apart, below) */
	size_t fields_len;
	int64_t expires_ms; /* from submission; -1: none */
};

struct workflow {
	char *name; /* the file's `name`, else the file's base name without its ending; made into a valid id part */
	char digest[65];           /* SHA-256 of the file, the --set values and the replay options, hex */
	struct workflow_job *jobs; /* every job after its predecessors (topological order) */
	size_t count;
	bool replay;                 /* it came from WfFormat */
	struct workflow_file *files; /* replay: files that no task writes */
	size_t file_count;
};

struct workflow_options {
	const char *const *sets; /* "K=V" texts of --set; V is read as YAML */
	size_t set_count;
	double replay;      /* SCALE for WfFormat; 0: not given (then WfFormat is refused with a hint, YAML is fine) */
	double file_factor; /* replay's factor on file sizes; 0: default 0.001 */
	const struct job_limits *limits;
};

/* Reads and checks `path` ("-" is standard input). ERR_INPUT: "FILE:LINE: what, and what to do"; each job has gone
 * through job_decode's checks as well. ERR_NOT_FOUND: no such file. On success `ret` is filled; release it. */
int workflow_load(const char *path, const struct workflow_options *options, struct workflow *ret, struct err *err);
void workflow_release(struct workflow *workflow);

/* The wire form of job `index` for run `run`: id RUN/name, `after` as RUN/… ids, expires_at = now_ms + expires_ms; a
 * MessagePack map appended to `ret`. `shared_dir` (absolute) goes into the args of replay jobs; NULL for others.
 * ERR_INPUT where an id gets too long. */
int workflow_spec(const struct workflow *workflow, size_t index, const char *run, int64_t now_ms,
		  const char *shared_dir, struct buf *ret, struct err *err);
/* For a replayed workflow: makes `dir` (and its parents) and in it the input files that no task writes. */
int workflow_replay_prepare(const struct workflow *workflow, const char *dir, struct err *err);
/* The id of job `index` in run `run`; the caller frees. */
char *workflow_job_id(const struct workflow *workflow, size_t index, const char *run);

/* As Graphviz (`dot`), as an indented list for people, as a workflow file in YAML (import --to yaml). */
void workflow_dot(const struct workflow *workflow, struct buf *ret);
void workflow_text(const struct workflow *workflow, struct buf *ret);
int workflow_yaml(const struct workflow *workflow, struct buf *ret, struct err *err);

#endif
