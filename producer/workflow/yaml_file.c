#include "workflow/yaml_file.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

/* A key where the error is about the key: its own line. */
static int key_error(const struct yaml_node *node, struct err *err, const char *what)
{
	struct yaml_node at = *node;
	at.line = node->key_line;
	return yaml_error(err, &at, "%s", what);
}

static int read_member(const struct reader *reader, const struct scope *scope, const struct yaml_node *node,
		       const char *name, struct err *err)
{
	struct plan_job *job;

	if (!*name)
		return key_error(node, err, "a job's name is empty");
	/* An id is RUN/NAME, of at most 200 characters, and a run's name has one at least. */
	if (strlen(name) > 198)
		return key_error(node, err, "a job's name is longer than 198 characters, so that no id could hold it");
	if (reader->plan->count == PLAN_MAX_JOBS)
		return key_error(node, err, "more than 1000000 jobs in all");
	job = plan_add(reader->plan, name, node->key_line);
	return fields_read(reader, scope, node, job, err);
}

static int read_matrix(const struct reader *reader, const struct yaml_node *node, const char *name,
		       const struct yaml_node *spec, struct err *err)
{
	size_t first = reader->plan->count;
	struct matrix matrix;
	struct scope scope = {.sets = reader->sets};
	int r;

	r = matrix_read(reader, spec, &matrix, err);
	if (r < 0)
		return r;
	scope.vars = matrix.vars;
	scope.var_count = matrix.count;
	for (size_t i = 0; i < matrix.members && r == 0; i++) {
		CLEANUP(buf_release) struct buf member = BUF_INIT;

		matrix_select(&matrix, i);
		r = matrix_name(&matrix, name, &member, err);
		if (r == 0)
			r = plan_name_add(reader->plan, member.data, first + i, 1, node->key_line, err);
		if (r == 0)
			r = read_member(reader, &scope, node, member.data, err);
	}
	matrix_release(&matrix);
	if (r < 0)
		return r;
	return plan_name_add(reader->plan, name, first, reader->plan->count - first, node->key_line, err);
}

static int read_job(const struct reader *reader, const struct yaml_node *node, struct err *err)
{
	CLEANUP(freep) char *name = xstrdup(node->key);
	const struct yaml_node *matrix = yaml_get(node, "matrix");
	struct scope scope = {.sets = reader->sets};
	int r;

	name_clean(name, true);
	if (node->kind != YAML_MAP)
		return yaml_error(err, node, "job %s is %s; write a map with at least `task`", node->key,
				  yaml_describe(node));
	r = fields_check_names(node, false, err);
	if (r < 0)
		return r;
	if (!yaml_get(node, "task") && !yaml_get(reader->defaults, "task"))
		return key_error(node, err, "this job has no `task`: name the handler that runs it");
	if (matrix)
		return read_matrix(reader, node, name, matrix, err);
	r = plan_name_add(reader->plan, name, reader->plan->count, 1, node->key_line, err);
	if (r < 0)
		return r;
	return read_member(reader, &scope, node, name, err);
}

static int read_defaults(struct reader *reader, const struct yaml_node *node, struct err *err)
{
	if (!node || (node->kind == YAML_SCALAR && yaml_scalar_type(node, NULL) == YAML_TYPE_NULL))
		return 0;
	if (node->kind != YAML_MAP)
		return yaml_error(err, node, "defaults has to be a map of a job's fields, such as { retries: 2 }");
	reader->defaults = node;
	return fields_check_names(node, true, err);
}

static int read_files(const struct yaml_node *node, struct workflow *ret, struct err *err)
{
	int r;

	if (!node)
		return 0;
	if (node->kind != YAML_MAP)
		return yaml_error(err, node, "files has to be a map of names and sizes in bytes");
	ret->files = xcalloc(node->count, sizeof *ret->files);
	for (size_t i = 0; i < node->count; i++) {
		const char *name = node->items[i]->key;
		CLEANUP(freep) char *clean = file_name_clean(name);

		if (!clean || strcmp(clean, name) != 0)
			return key_error(node->items[i], err,
					 "files: a name has to be a relative path without . and .. parts");
		r = yaml_int(node->items[i], name, 0, FILE_MAX_SIZE, &ret->files[i].size, err);
		if (r < 0)
			return r;
		ret->files[i].name = TAKE_PTR(clean);
		ret->file_count = i + 1;
	}
	return 0;
}

static int read_name(const struct yaml_node *node, struct workflow *ret, struct err *err)
{
	if (!node)
		return 0;
	if (node->kind != YAML_SCALAR || !node->len || strlen(node->text) != node->len)
		return yaml_error(err, node, "name has to be text, and not empty");
	ret->name = xstrdup(node->text);
	return 0;
}

static const char *next_top(void *data)
{
	static const char *const names[] = {"name", "defaults", "jobs", "files"};
	size_t *at = data;
	return *at < sizeof names / sizeof *names ? names[(*at)++] : NULL;
}

static int check_top(const struct yaml_node *root, struct err *err)
{
	if (root->kind != YAML_MAP)
		return yaml_error(err, root, "a workflow file is a map with `jobs`; this is %s", yaml_describe(root));
	for (size_t i = 0; i < root->count; i++) {
		struct yaml_node at = *root->items[i];
		size_t next = 0;
		const char *name;

		at.line = at.key_line;
		while ((name = next_top(&next)) && strcmp(name, at.key) != 0)
			;
		if (name || !strncmp(at.key, "x-", 2))
			continue;
		next = 0;
		name = nearest_name(at.key, next_top, &next);
		return yaml_error(err, &at, "unknown key %s; %s%s", at.key, name ? "is meant: " : "the file can have",
				  name ? name : " name, defaults, jobs, files and x-… ones");
	}
	return 0;
}

static int read_jobs(const struct reader *reader, const struct yaml_node *root, struct err *err)
{
	const struct yaml_node *jobs = yaml_get(root, "jobs");
	int r = 0;

	if (!jobs)
		return yaml_error(err, root, "no `jobs` in this file: write jobs: { NAME: { task: … } }");
	if (jobs->kind != YAML_MAP || !jobs->count)
		return yaml_error(err, jobs, "jobs is %s; write a map of at least one job: NAME: { task: … }",
				  jobs->kind == YAML_MAP ? "empty" : yaml_describe(jobs));
	for (size_t i = 0; i < jobs->count && r == 0; i++)
		r = read_job(reader, jobs->items[i], err);
	return r;
}

int yaml_file_read(const char *text, size_t len, const struct workflow_options *options, struct plan *plan,
		   struct workflow *ret, struct err *err)
{
	CLEANUP(yaml_node_freep) struct yaml_node *root = NULL;
	CLEANUP(sets_release) struct sets sets = {0};
	struct reader reader = {.plan = plan, .sets = &sets, .limits = options->limits};
	int r;

	r = sets_read(options, &sets, err);
	if (r == 0)
		r = yaml_parse(text, len, plan->file, &root, err);
	if (r == 0)
		r = check_top(root, err);
	if (r == 0)
		r = read_name(yaml_get(root, "name"), ret, err);
	if (r == 0)
		r = read_defaults(&reader, yaml_get(root, "defaults"), err);
	if (r == 0)
		r = read_files(yaml_get(root, "files"), ret, err);
	if (r == 0)
		r = read_jobs(&reader, root, err);
	if (r == 0)
		r = sets_all_used(&sets, plan->file, err);
	return r;
}
