/* What both fuzzers of workflow files do with an input. */
#ifndef FLOTILLA_TESTS_FUZZ_FUZZ_WORKFLOW_H
#define FLOTILLA_TESTS_FUZZ_FUZZ_WORKFLOW_H

#include "fuzz.h"
#include "workflow/workflow.h"

static inline int load_bytes(const void *data, size_t size, const struct workflow_options *options,
			     struct workflow *ret, struct err *err)
{
	char path[FUZZ_PATH];
	int fd = fuzz_file(data, size, path);
	int r;

	r = workflow_load(path, options, ret, err);
	close(fd);
	return r;
}

static inline void check_specs(const struct workflow *workflow)
{
	struct job_message message = {.content_type = "application/msgpack"};

	for (size_t i = 0; i < workflow->count; i++) {
		struct buf spec = BUF_INIT;
		struct err err;
		struct job job;

		for (size_t k = 0; k < workflow->jobs[i].after_count; k++)
			must(workflow->jobs[i].after[k].from < i);
		if (workflow_spec(workflow, i, "r", 0, "/dir", &spec, &err) == 0) {
			message.body = spec.data;
			message.body_len = spec.len;
			must(job_decode(&job, &message, &job_limits_default, &err) == 0);
			must(job.after_count == workflow->jobs[i].after_count);
			job_release(&job);
		}
		buf_release(&spec);
	}
}

static inline void check_again(const struct workflow *first)
{
	static const struct workflow_options none = {0};
	struct workflow second = {0};
	struct buf yaml = BUF_INIT;
	struct err err;

	must(workflow_yaml(first, &yaml, &err) == 0);
	must(load_bytes(yaml.data, yaml.len, &none, &second, &err) == 0);
	must(first->count == second.count && first->replay == second.replay && !strcmp(first->name, second.name));
	must(first->file_count == second.file_count);
	for (size_t i = 0; i < first->count; i++) {
		const struct workflow_job *a = &first->jobs[i], *b = &second.jobs[i];

		must(!strcmp(a->name, b->name) && a->after_count == b->after_count && a->expires_ms == b->expires_ms);
		must(a->fields_len == b->fields_len && !memcmp(a->fields, b->fields, a->fields_len));
		for (size_t k = 0; k < a->after_count; k++)
			must(a->after[k].from == b->after[k].from && a->after[k].when == b->after[k].when);
	}
	workflow_release(&second);
	buf_release(&yaml);
}

static inline void fuzz_load(const void *data, size_t size, const struct workflow_options *options)
{
	struct workflow workflow = {0};
	struct buf shown = BUF_INIT;
	struct err err;

	if (load_bytes(data, size, options, &workflow, &err) < 0) {
		must_be_words(&err);
		must(!workflow.jobs && !workflow.name);
		return;
	}
	check_specs(&workflow);
	check_again(&workflow);
	workflow_dot(&workflow, &shown);
	workflow_text(&workflow, &shown);
	buf_release(&shown);
	workflow_release(&workflow);
}

#endif
