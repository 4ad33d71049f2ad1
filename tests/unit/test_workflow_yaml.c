/* Workflow files that are right: what their jobs become. */
#include <msgpack.h>

#include "job/json.h"
#include "workflow_files.h"

static const struct workflow_options no_options = {0};

/* A job's fields as JSON. */
static char *fields_json(const struct workflow_job *job)
{
	struct buf json = BUF_INIT;
	msgpack_unpacked unpacked;
	struct err err;

	msgpack_unpacked_init(&unpacked);
	cr_assert_eq(msgpack_unpack_next(&unpacked, job->fields, job->fields_len, NULL), MSGPACK_UNPACK_SUCCESS);
	cr_assert_eq(msgpack_to_json(&unpacked.data, &json, &err), 0);
	msgpack_unpacked_destroy(&unpacked);
	return buf_detach(&json);
}

static void expect_fields(const struct workflow *workflow, const char *name, const char *expected)
{
	CLEANUP(freep) char *json = fields_json(job_named(workflow, name));
	cr_expect_str_eq(json, expected);
}

static const char *const nightly =
	"name: nightly\n"
	"defaults: { retries: 2, pool: default }\n"
	"jobs:\n"
	"  extract: { task: exec, argv: [\"./fetch.sh\"], timeout: 10m }\n"
	"  clean: { task: clean, args: { level: \"{level}\" }, after: [extract] }\n"
	"  train: { task: train, after: [clean], matrix: { lr: [0.1, 0.01], depth: [2, 4] },\n"
	"           args: { lr: \"{lr}\", depth: \"{depth}\" } }\n"
	"  pick: { task: pick, after: [train] }\n"
	"  alarm: { task: exec, argv: [\"./page.sh\"], after: [{ id: pick, when: failed }] }\n";

Test(workflow_yaml, the_example_of_the_protocol)
{
	const char *const sets[] = {"level=3"};
	const struct workflow_options options = {.sets = sets, .set_count = 1};
	CLEANUP(workflow_release) struct workflow workflow = load_yaml_text(nightly, &options);
	const struct workflow_job *pick, *alarm;

	cr_assert_str_eq(workflow.name, "nightly");
	cr_assert_eq(workflow.count, 8);
	cr_assert_eq(edges_of(&workflow), 1 + 4 + 4 + 1);
	cr_assert_not(workflow.replay);
	assert_ordered(&workflow);
	expect_fields(&workflow, "extract",
		      "{\"task\":\"exec\",\"argv\":[\"./fetch.sh\"],\"pool\":\"default\",\"retries\":2,"
		      "\"timeout_ms\":600000}");
	expect_fields(&workflow, "clean",
		      "{\"task\":\"clean\",\"args\":{\"level\":3},\"pool\":\"default\",\"retries\":2}");
	expect_fields(&workflow, "train.lr=0.01,depth=4",
		      "{\"task\":\"train\",\"args\":{\"lr\":0.01,\"depth\":4},\"pool\":\"default\",\"retries\":2}");
	pick = job_named(&workflow, "pick");
	cr_assert_eq(pick->after_count, 4);
	cr_assert_str_eq(workflow.jobs[pick->after[1].from].name, "train.lr=0.1,depth=4");
	alarm = job_named(&workflow, "alarm");
	cr_assert_eq(alarm->after[0].when, JOB_WHEN_FAILED);
	cr_assert_eq(alarm->line, 9);
	assert_round_trip(&workflow);
}

Test(workflow_yaml, placeholders)
{
	const char *const sets[] = {"n=3", "version=1.10", "list=[1, {a: b}]", "word=\"5\"", "empty=", "wait=90s"};
	const struct workflow_options options = {.sets = sets, .set_count = sizeof sets / sizeof *sets};
	CLEANUP(workflow_release)
	struct workflow workflow = load_yaml_text(
		"jobs:\n"
		"  typed: { task: t, args: ['{n}', '{version}', '{list}', '{word}', '{empty}', {k: '{n}'}] }\n"
		"  text: { task: 'do-{n}', args: 'v{version} {list}', argv: ['{n}', '{version}', 7, yes],\n"
		"          env: { N: '{n}' }, labels: { l: '{list}', w: '{word}', f: 1.50 } }\n"
		"  braces: { task: t, args: ['{{n}}', 'a{{', '}}', '{{{n}}}'] }\n"
		"  time: { task: t, timeout: '{wait}', retries: '{n}', dedup: '{empty}', after: 'typ{word}d',\n"
		"          x-note: '{nothing}' }\n"
		"  typ5d: { task: t }\n",
		&options);

	expect_fields(&workflow, "typed", "{\"task\":\"t\",\"args\":[3,1.1,[1,{\"a\":\"b\"}],\"5\",null,{\"k\":3}]}");
	expect_fields(&workflow, "text",
		      "{\"task\":\"do-3\",\"args\":\"v1.10 [1,{\\\"a\\\":\\\"b\\\"}]\","
		      "\"argv\":[\"3\",\"1.10\",\"7\",\"yes\"],\"env\":{\"N\":\"3\"},"
		      "\"labels\":{\"l\":\"[1,{\\\"a\\\":\\\"b\\\"}]\",\"w\":\"5\",\"f\":\"1.50\"}}");
	expect_fields(&workflow, "braces", "{\"task\":\"t\",\"args\":[\"{n}\",\"a{\",\"}\",\"{3}\"]}");
	expect_fields(&workflow, "time", "{\"task\":\"t\",\"retries\":3,\"timeout_ms\":90000}");
	cr_assert_str_eq(workflow.jobs[job_named(&workflow, "time")->after[0].from].name, "typ5d");
	assert_round_trip(&workflow);
}

Test(workflow_yaml, fields_and_defaults)
{
	CLEANUP(workflow_release)
	struct workflow workflow = load_yaml_text(
		"defaults: { task: t, delay: 5s, retries: 4, expires: 1h }\n"
		"x-anything: [1, 2]\n"
		"jobs:\n"
		"  all: { args: ~, pool: p, priority: high, dedup: d, reuse: true, retries: 0, backoff: 500ms,\n"
		"         backoff_max: 1m, keep: 1500ms, expires: 2h, run_at: 1000 }\n"
		"  default: {}\n"
		"  none: { retries: ~, delay: ~, expires: ~ }\n",
		&no_options);

	expect_fields(&workflow, "all",
		      "{\"task\":\"t\",\"pool\":\"p\",\"priority\":\"high\",\"dedup\":\"d\",\"reuse\":true,"
		      "\"retries\":0,\"backoff_ms\":500,\"backoff_max_ms\":60000,\"run_at\":1000,\"keep_s\":2}");
	cr_assert_eq(job_named(&workflow, "all")->expires_ms, 7200000);
	expect_fields(&workflow, "default", "{\"task\":\"t\",\"retries\":4,\"delay_ms\":5000}");
	cr_assert_eq(job_named(&workflow, "default")->expires_ms, 3600000);
	expect_fields(&workflow, "none", "{\"task\":\"t\"}");
	cr_assert_eq(job_named(&workflow, "none")->expires_ms, -1);
	assert_round_trip(&workflow);
}

Test(workflow_yaml, predecessors_in_every_form)
{
	CLEANUP(workflow_release)
	struct workflow workflow =
		load_yaml_text("jobs:\n"
			       "  last: { task: t, after: [one, { id: two, when: ended }, m, one] }\n"
			       "  one: { task: t }\n"
			       "  two: { task: t, after: one }\n"
			       "  m: { task: t, matrix: { x: [1, 2, 3] }, after: { id: two, when: failed } }\n"
			       "  same: { task: t, matrix: { x: [1, 2, 3] }, after: ['m.x={x}'] }\n"
			       "  'odd name': { task: t, after: ~ }\n"
			       "  odd: { task: t, after: ['odd name'] }\n",
			       &no_options);

	assert_ordered(&workflow);
	cr_assert_eq(workflow.count, 11);
	cr_assert_eq(job_named(&workflow, "last")->after_count, 5);
	cr_assert_eq(job_named(&workflow, "last")->after[1].when, JOB_WHEN_ENDED);
	cr_assert_eq(job_named(&workflow, "m.x=2")->after[0].when, JOB_WHEN_FAILED);
	cr_assert_eq(job_named(&workflow, "same.x=2")->after_count, 1);
	cr_assert_str_eq(workflow.jobs[job_named(&workflow, "same.x=2")->after[0].from].name, "m.x=2");
	cr_assert_str_eq(workflow.jobs[job_named(&workflow, "odd")->after[0].from].name, "odd_name");
	assert_round_trip(&workflow);
}

Test(workflow_yaml, a_matrix_from_the_command_line)
{
	const char *const sets[] = {"sizes=[10, big one]", "root=/data"};
	const struct workflow_options options = {.sets = sets, .set_count = 2};
	CLEANUP(workflow_release)
	struct workflow workflow =
		load_yaml_text("jobs:\n  m: { task: t, matrix: { s: '{sizes}', f: ['{root}/a', { k: [1] }] },"
			       " args: ['{s}', '{f}'] }\n",
			       &options);

	cr_assert_eq(workflow.count, 4);
	expect_fields(&workflow, "m.s=10,f=/data/a", "{\"task\":\"t\",\"args\":[10,\"/data/a\"]}");
	expect_fields(&workflow, "m.s=big_one,f=__k___1__", "{\"task\":\"t\",\"args\":[\"big one\",{\"k\":[1]}]}");
}

Test(workflow_yaml, names_after_the_file)
{
	CLEANUP(workflow_release)
	struct workflow workflow = load_yaml_text("name: 'My work/flow: 7'\njobs: { a: { task: t } }\n", &no_options);
	struct workflow other = {0};
	char path[64];
	struct err err;

	cr_assert_str_eq(workflow.name, "My_work_flow__7");
	cr_assert_eq(load_text("jobs: { a: { task: t } }\n", ".yaml", &no_options, &other, path, &err), 0);
	cr_assert_eq(strncmp(other.name, "workflow-test-", 14), 0);
	cr_assert_null(strchr(other.name, '.'));
	workflow_release(&other);
}

Test(workflow_yaml, a_workflow_file_may_be_json)
{
	struct workflow workflow = {0};
	char path[64];
	struct err err = {0};

	cr_assert_eq(load_text("{\"jobs\": {\"a\": {\"task\": \"t\", \"args\": {\"x\": [1, null]}}}}", ".json",
			       &no_options, &workflow, path, &err),
		     0, "%s", err.text);
	expect_fields(&workflow, "a", "{\"task\":\"t\",\"args\":{\"x\":[1,null]}}");
	workflow_release(&workflow);
}

Test(workflow_yaml, the_digest_tells_workflows_apart)
{
	const char *const ab[] = {"a=1", "b=2"}, *const ba[] = {"b=2", "a=1"}, *const other[] = {"a=1", "b=3"};
	const char *const *const sets[] = {ab, ba, other};
	char digests[3][65];

	for (size_t i = 0; i < 3; i++) {
		const struct workflow_options options = {.sets = sets[i], .set_count = 2};
		CLEANUP(workflow_release)
		struct workflow workflow = load_yaml_text("jobs: { a: { task: t, args: ['{a}', '{b}'] } }\n", &options);
		memcpy(digests[i], workflow.digest, sizeof digests[i]);
	}
	cr_assert_eq(strlen(digests[0]), 64);
	cr_assert_str_eq(digests[0], digests[1]);
	cr_assert_str_neq(digests[0], digests[2]);
}

Test(workflow_yaml, odd_values_survive_being_written)
{
	CLEANUP(workflow_release)
	struct workflow workflow = load_yaml_text(
		"jobs:\n"
		"  'yes': { task: 'true', args: { '{k}': 'a{{b}}', 'on': [1.0, 1e-5, 1.5e300, -0.0, 0.1, -7,"
		" 18446744073709551615, -9223372036854775808] } }\n"
		"  '12': { task: t, after: 'yes', args: "
		"[\"\\u0001\\t\\n\\\\\\\"\\x7f\\u0085\\u2028\\ufeff\\U0001F600\", '~', '', "
		"' x ', '# x', 'a: b', '- x', '1', 'é', true, null, [], {}] }\n",
		&no_options);

	assert_round_trip(&workflow);
}

/* A key of more than 1024 bytes has to be announced in YAML; escaped, a shorter one is as long. */
Test(workflow_yaml, long_keys_survive_being_written)
{
	CLEANUP(buf_release) struct buf text = BUF_INIT;

	buf_addf(&text, "jobs:\n  a: { task: t, args: { ? \"%01100d\" : [1, { ? \"", 0);
	for (int i = 0; i < 300; i++)
		buf_adds(&text, "\\t");
	buf_adds(&text, "\" : 2 }] } }\n");
	CLEANUP(workflow_release) struct workflow workflow = load_yaml_text(text.data, &no_options);
	assert_round_trip(&workflow);
}

Test(workflow_yaml, a_replay_in_yaml)
{
	CLEANUP(workflow_release)
	struct workflow workflow =
		load_yaml_text("files: { in/x: 100, 'y z': 0 }\n"
			       "jobs: { a: { task: replay, args: { seconds: 1.5, inputs: [in/x], outputs: [] } } }\n",
			       &no_options);

	cr_assert(workflow.replay);
	cr_assert_eq(workflow.file_count, 2);
	cr_assert_str_eq(workflow.files[0].name, "in/x");
	cr_assert_eq(workflow.files[0].size, 100);
	assert_round_trip(&workflow);
}

Test(workflow_yaml, a_hundred_thousand_jobs)
{
	CLEANUP(buf_release) struct buf text = BUF_INIT;
	CLEANUP(workflow_release) struct workflow workflow = {0};

	buf_adds(&text,
		 "jobs:\n  first: { task: t }\n  many: { task: t, after: first, args: '{x}/{y}', matrix: { x: [0");
	for (int i = 1; i < 400; i++)
		buf_addf(&text, ", %d", i);
	buf_adds(&text, "], y: [0");
	for (int i = 1; i < 250; i++)
		buf_addf(&text, ", %d", i);
	buf_adds(&text, "] } }\n");
	workflow = load_yaml_text(text.data, &no_options);
	cr_assert_eq(workflow.count, 100001);
	cr_assert_eq(edges_of(&workflow), 100000);
}

/* The examples that are shipped; the tests run at the top of the repository. */
Test(workflow_yaml, the_examples)
{
	static const struct {
		const char *path;
		const char *sets[2];
		size_t set_count, jobs;
	} rows[] = {
		{"examples/hello.yaml", {NULL}, 0, 3},
		{"examples/nightly.yaml", {"level=3"}, 1, 8},
		{"examples/wordcount.yaml", {"dir=/tmp/x"}, 1, 12},
		{"examples/sweep.yaml", {"sizes=[10, 100]", "pause=200"}, 2, 7},
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		const struct workflow_options options = {.sets = rows[i].sets, .set_count = rows[i].set_count};
		CLEANUP(workflow_release) struct workflow workflow = {0};
		struct err err = {0};

		if (access(rows[i].path, R_OK) < 0)
			cr_skip_test("not at the top of the repository");
		cr_assert_eq(workflow_load(rows[i].path, &options, &workflow, &err), 0, "%s", err.text);
		cr_assert_eq(workflow.count, rows[i].jobs);
		assert_round_trip(&workflow);
	}
}
