/* The reader of workflow files in YAML, in its parts. Private to this directory. */
#ifndef FLOTILLA_PRODUCER_WORKFLOW_YAML_FILE_H
#define FLOTILLA_PRODUCER_WORKFLOW_YAML_FILE_H

#include "base/yaml.h"
#include "workflow/plan.h"
#include "workflow/scope.h"

struct reader {
	struct plan *plan;
	struct sets *sets;
	const struct yaml_node *defaults; /* NULL: none */
	const struct job_limits *limits;
};

/* Reads a workflow file in YAML: the jobs into `plan`, its name (if it has one) and files into `ret`. */
int yaml_file_read(const char *text, size_t len, const struct workflow_options *options, struct plan *plan,
		   struct workflow *ret, struct err *err);

/* Fills in one job from its map: fields, `expires`, predecessors. */
int fields_read(const struct reader *reader, const struct scope *scope, const struct yaml_node *node,
		struct plan_job *job, struct err *err);
/* Refuses unknown fields, and those that have no place here, whatever their values; `defaults` too. */
int fields_check_names(const struct yaml_node *map, bool defaults, struct err *err);

/* The members of a job's matrix, one after the other. */
struct matrix {
	struct binding *vars; /* as many as `count`; their nodes are those of the member at hand */
	size_t count;
	size_t *at;
	const struct yaml_node **lists; /* resolved: each has at least one item */
	struct yaml_node ***made;       /* items that were filled in, by variable and place; NULL: the file's own */
	size_t members;
};

/* ERR_INPUT for what is no matrix, an empty one, and one with more than PLAN_MAX_JOBS members. */
int matrix_read(const struct reader *reader, const struct yaml_node *node, struct matrix *ret, struct err *err);
void matrix_release(struct matrix *matrix);
/* Binds the variables to member number `index`, in the order of the file, the last variable turning fastest. */
void matrix_select(struct matrix *matrix, size_t index);
/* Appends "BASE.var=value,var=value" for the selected member, with the characters that an id can have. */
int matrix_name(const struct matrix *matrix, const char *base, struct buf *ret, struct err *err);

#endif
