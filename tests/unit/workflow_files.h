/* For the tests of workflow files: text loaded through a file of its own, as `flotilla run` does. */
#ifndef FLOTILLA_TESTS_UNIT_WORKFLOW_FILES_H
#define FLOTILLA_TESTS_UNIT_WORKFLOW_FILES_H

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "workflow/workflow.h"

/* Loads `text` as a file with this ending; `path` gets its name (it is gone again). */
static inline int load_text(const char *text, const char *ending, const struct workflow_options *options,
			    struct workflow *ret, char path[64], struct err *err)
{
	int fd, r;

	snprintf(path, 64, "/tmp/workflow-test-XXXXXX%s", ending);
	fd = mkstemps(path, (int)strlen(ending));
	cr_assert_geq(fd, 0);
	cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
	r = workflow_load(path, options, ret, err);
	unlink(path);
	return r;
}

/* Loads YAML that has to be right. */
static inline struct workflow load_yaml_text(const char *text, const struct workflow_options *options)
{
	struct workflow workflow = {0};
	char path[64];
	struct err err = {0};

	cr_assert_eq(load_text(text, ".yaml", options, &workflow, path, &err), 0, "%s\nin:\n%s", err.text, text);
	return workflow;
}

static inline const struct workflow_job *job_named(const struct workflow *workflow, const char *name)
{
	for (size_t i = 0; i < workflow->count; i++)
		if (!strcmp(workflow->jobs[i].name, name))
			return &workflow->jobs[i];
	cr_assert_fail("no job %s", name);
	return NULL;
}

static inline size_t edges_of(const struct workflow *workflow)
{
	size_t edges = 0;

	for (size_t i = 0; i < workflow->count; i++)
		edges += workflow->jobs[i].after_count;
	return edges;
}

/* Every job after its predecessors. */
static inline void assert_ordered(const struct workflow *workflow)
{
	for (size_t i = 0; i < workflow->count; i++)
		for (size_t k = 0; k < workflow->jobs[i].after_count; k++)
			cr_assert_lt(workflow->jobs[i].after[k].from, i);
}

static inline void assert_equal_workflows(const struct workflow *a, const struct workflow *b)
{
	cr_assert_str_eq(a->name, b->name);
	cr_assert_eq(a->count, b->count);
	cr_assert_eq(a->replay, b->replay);
	cr_assert_eq(a->file_count, b->file_count);
	for (size_t i = 0; i < a->file_count; i++) {
		cr_assert_str_eq(a->files[i].name, b->files[i].name);
		cr_assert_eq(a->files[i].size, b->files[i].size);
	}
	for (size_t i = 0; i < a->count; i++) {
		const struct workflow_job *x = &a->jobs[i], *y = &b->jobs[i];

		cr_assert_str_eq(x->name, y->name);
		cr_assert_eq(x->expires_ms, y->expires_ms);
		cr_assert(x->fields_len == y->fields_len && !memcmp(x->fields, y->fields, x->fields_len),
			  "the fields of %s differ", x->name);
		cr_assert_eq(x->after_count, y->after_count);
		for (size_t k = 0; k < x->after_count; k++) {
			cr_assert_eq(x->after[k].from, y->after[k].from);
			cr_assert_eq(x->after[k].when, y->after[k].when);
		}
	}
}

/* Writes a workflow as YAML and reads that: the same workflow. */
static inline void assert_round_trip(const struct workflow *workflow)
{
	static const struct workflow_options none = {0};
	CLEANUP(buf_release) struct buf yaml = BUF_INIT;
	CLEANUP(workflow_release) struct workflow again = {0};
	struct err err;

	cr_assert_eq(workflow_yaml(workflow, &yaml, &err), 0);
	again = load_yaml_text(yaml.data, &none);
	assert_equal_workflows(workflow, &again);
}

#endif
