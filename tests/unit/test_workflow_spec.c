/* What is submitted of a workflow, and what people see of it. */
#include "workflow_files.h"

static const struct workflow_options no_options = {0};

static struct job decode_spec(const struct workflow *workflow, const char *name, const char *run, const char *dir)
{
	size_t index = (size_t)(job_named(workflow, name) - workflow->jobs);
	CLEANUP(buf_release) struct buf spec = BUF_INIT;
	struct job_message message = {.content_type = "application/msgpack"};
	struct job job = {0};
	struct err err = {0};

	cr_assert_eq(workflow_spec(workflow, index, run, 1000, dir, &spec, &err), 0, "%s", err.text);
	message.body = spec.data;
	message.body_len = spec.len;
	cr_assert_eq(job_decode(&job, &message, &job_limits_default, &err), 0, "%s", err.text);
	return job;
}

Test(workflow_spec, a_job_on_the_wire)
{
	CLEANUP(workflow_release)
	struct workflow workflow = load_yaml_text(
		"jobs: { a: { task: x }, b: { task: y, retries: 2, expires: 5s, after: [a, { id: c, when: ended }] },\n"
		"        c: { task: z } }\n",
		&no_options);
	CLEANUP(job_release) struct job job = decode_spec(&workflow, "b", "night-1", "/ignored");

	cr_assert_str_eq(job.id, "night-1/b");
	cr_assert_str_eq(job.run, "night-1");
	cr_assert_str_eq(job.task, "y");
	cr_assert_eq(job.retries, 2);
	cr_assert_eq(job.expires_at, 6000);
	cr_assert_eq(job.after_count, 2);
	cr_assert_str_eq(job.after[0].id, "night-1/a");
	cr_assert_eq(job.after[0].when, JOB_WHEN_SUCCEEDED);
	cr_assert_str_eq(job.after[1].id, "night-1/c");
	cr_assert_eq(job.after[1].when, JOB_WHEN_ENDED);
	cr_assert_not(job.has_args && job.args.type != MSGPACK_OBJECT_NIL);
}

static void expect_dir(const struct workflow *workflow, const char *name, const char *expected)
{
	CLEANUP(job_release) struct job job = decode_spec(workflow, name, "r", "/data/r");
	const msgpack_object_kv *last;

	cr_assert_eq(job.args.type, MSGPACK_OBJECT_MAP);
	last = &job.args.via.map.ptr[job.args.via.map.size - 1];
	cr_expect(last->key.via.str.size == 3 && !memcmp(last->key.via.str.ptr, "dir", 3));
	cr_expect(last->val.via.str.size == strlen(expected) &&
		  !memcmp(last->val.via.str.ptr, expected, strlen(expected)));
}

Test(workflow_spec, replays_get_the_directory_of_the_run)
{
	CLEANUP(workflow_release)
	struct workflow workflow =
		load_yaml_text("jobs: { a: { task: replay, args: { seconds: 1 } }, b: { task: replay },\n"
			       "        own: { task: replay, args: { dir: /mine } } }\n",
			       &no_options);

	expect_dir(&workflow, "a", "/data/r");
	expect_dir(&workflow, "b", "/data/r");
	expect_dir(&workflow, "own", "/mine");
}

Test(workflow_spec, ids_that_get_too_long)
{
	CLEANUP(workflow_release) struct workflow workflow = load_yaml_text("jobs: { a: { task: x } }\n", &no_options);
	CLEANUP(buf_release) struct buf spec = BUF_INIT;
	char run[220];
	struct err err;

	memset(run, 'r', sizeof run);
	run[198] = '\0';
	cr_assert_eq(workflow_spec(&workflow, 0, run, 0, NULL, &spec, &err), 0);
	run[198] = 'r';
	run[199] = '\0';
	cr_assert_eq(workflow_spec(&workflow, 0, run, 0, NULL, &spec, &err), ERR_INPUT);
	cr_assert(strstr(err.text, "choose another --name"), "%s", err.text);
	cr_assert_eq(workflow_spec(&workflow, 0, "a:b", 0, NULL, &spec, &err), ERR_INPUT);
}

Test(workflow_spec, pictures)
{
	CLEANUP(workflow_release)
	struct workflow workflow = load_yaml_text(
		"name: n\njobs: { a: { task: 'x\"y' }, b: { task: y, after: { id: a, when: failed } } }\n",
		&no_options);
	CLEANUP(buf_release) struct buf dot = BUF_INIT;
	CLEANUP(buf_release) struct buf text = BUF_INIT;

	workflow_dot(&workflow, &dot);
	cr_expect_str_eq(dot.data, "digraph \"n\" {\n\trankdir=LR;\n\tnode [shape=box];\n\t\"a\" [tooltip=\"x_y\"];\n"
				   "\t\"b\" [tooltip=\"y\"];\n\t\"a\" -> \"b\" [label=\"failed\", style=dashed];\n}\n");
	workflow_text(&workflow, &text);
	cr_expect_str_eq(text.data, "n: 2 jobs, 1 dependency, 2 levels\n  a  [x_y]\n    b  [y]  after a (failed)\n");
}
