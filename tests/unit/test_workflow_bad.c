/* Workflow files that are wrong, each with the line and the words of its error. */
#include "workflow_files.h"

struct bad {
	const char *text;
	int line; /* 0: the error names the file alone */
	const char *expected;
};

#define JOBS "jobs:\n"
#define A JOBS "  a: { task: noop }\n"

static const struct bad rows[] = {
	/* the file */
	{"", 1, "a workflow file is a map"},
	{"- a\n", 1, "a workflow file is a map with `jobs`; this is a list"},
	{"name: x\n", 1, "no `jobs`"},
	{JOBS, 1, "jobs is"},
	{"jobs: {}\n", 1, "jobs is empty"},
	{"jobs: [a]\n", 1, "jobs is a list"},
	{"job:\n  a: { task: noop }\n", 1, "unknown key job; is meant: jobs"},
	{A "colour: red\n", 3, "unknown key colour; the file can have name, defaults, jobs"},
	{"name: [a]\n" A, 1, "name has to be text"},
	{"name: ''\n" A, 1, "name has to be text"},
	{A "jobs:\n  b: { task: noop }\n", 3, "jobs"},
	{JOBS "  a: { task: noop\n", 3, ""},
	{JOBS "  a: { task: noop }\n  a: { task: noop }\n", 3, "a"},
	{"defaults: 3\n" A, 1, "defaults has to be a map"},
	{"defaults:\n  retry: 2\n" A, 2, "unknown field retry; is retries meant?"},
	{"defaults:\n  after: [a]\n" A, 2, "`after` can be no default"},
	{"defaults:\n  retries: many\n" A, 2, "retries"},
	{"files: 3\n" A, 1, "files has to be a map"},
	{"files: { ../x: 3 }\n" A, 1, "relative path"},
	{"files: { /x: 3 }\n" A, 1, "relative path"},
	{"files: { x: -1 }\n" A, 1, "x"},
	/* a job */
	{JOBS "  a: noop\n", 2, "job a is text; write a map"},
	{JOBS "  a:\n", 2, "job a is"},
	{JOBS "  a: { args: 1 }\n", 2, "this job has no `task`"},
	{JOBS "  '': { task: noop }\n", 2, "name is empty"},
	{JOBS "  a:\n    task: noop\n    retires: 3\n", 4, "unknown field retires; is retries meant?"},
	{JOBS "  a:\n    task: noop\n    colour: 3\n", 4, "unknown field colour: leave it out"},
	{JOBS "  a:\n    task: noop\n    id: x\n", 4, "RUN/NAME"},
	{JOBS "  a:\n    task: noop\n    run: x\n", 4, "--name"},
	{JOBS "  a:\n    task: noop\n    v: 1\n", 4, "set by flotilla"},
	{JOBS "  a:\n    task: noop\n    when: failed\n", 4, "belongs to a predecessor"},
	{JOBS "  a:\n    task: noop\n    timeout_ms: 5\n", 4, "timeout: 10s"},
	{JOBS "  a:\n    task: noop\n    expires_at: 5\n", 4, "expires: 2h"},
	{JOBS "  a:\n    task: ''\n", 3, "task"},
	{JOBS "  a:\n    task: [noop]\n", 3, "task"},
	{JOBS "  a:\n    task: noop\n    retries: -1\n", 4, "retries"},
	{JOBS "  a:\n    task: noop\n    retries: 1001\n", 4, "retries"},
	{JOBS "  a:\n    task: noop\n    retries: lots\n", 4, "retries"},
	{JOBS "  a:\n    task: noop\n    pool: Big Pool\n", 4, "pool"},
	{JOBS "  a:\n    task: noop\n    priority: urgent\n", 4, "priority"},
	{JOBS "  a:\n    task: noop\n    argv: ls\n", 4, "argv"},
	{JOBS "  a:\n    task: noop\n    argv: [ls, ~]\n", 4, "null"},
	{JOBS "  a:\n    task: noop\n    env: [A=1]\n", 4, "env"},
	{JOBS "  a:\n    task: noop\n    env: { 'A=B': x }\n", 4, "env"},
	{JOBS "  a:\n    task: noop\n    labels: x\n", 4, "labels"},
	{JOBS "  a:\n    task: noop\n    args: .nan\n", 4, ""},
	{JOBS "  a:\n    task: noop\n    timeout: 5\n", 4, "timeout: "},
	{JOBS "  a:\n    task: noop\n    timeout: 5 lightyears\n", 4, "timeout: "},
	{JOBS "  a:\n    task: noop\n    timeout: [5s]\n", 4, "text is wanted"},
	{JOBS "  a:\n    task: noop\n    delay: -5s\n", 4, "delay: "},
	{JOBS "  a:\n    task: noop\n    expires: soon\n", 4, "expires: "},
	{JOBS "  a: { task: noop, delay: 5s, run_at: 5 }\n", 2, "run_at"},
	{JOBS "  a: { task: noop, reuse: true }\n", 2, "dedup"},
	/* predecessors */
	{JOBS "  extract: { task: noop }\n  b:\n    task: noop\n    after: [extrct]\n", 5,
	 "b is after extrct, but no job here is called that; is extract meant?"},
	{A "  b: { task: noop, after: [zzzzzzzz] }\n", 3, "no job here is called that: name one"},
	{A "  b: { task: noop, after: [{ id: a, when: done }] }\n", 3,
	 "when is done; it can be succeeded, failed or ended"},
	{A "  b: { task: noop, after: [{ id: a, wen: failed }] }\n", 3, "write a name, or { id: NAME"},
	{A "  b: { task: noop, after: [{ when: failed }] }\n", 3, "write a name, or { id: NAME"},
	{A "  b: { task: noop, after: [a, { id: a, when: failed }] }\n", 3, "b is after a twice"},
	{A "  b: { task: noop, after: [[a]] }\n", 3, "text is wanted"},
	{A "  b: { task: noop, after: [''] }\n", 3, "a name is empty"},
	{JOBS "  a: { task: noop, after: a }\n", 2, "wait for one another: a → a"},
	{JOBS "  x: { task: noop }\n  a: { task: noop, after: c }\n  b: { task: noop, after: [a, x] }\n"
	      "  c: { task: noop, after: b }\n  d: { task: noop, after: c }\n",
	 3, "wait for one another: a → b → c → a;"},
	/* placeholders */
	{JOBS "  a:\n    task: noop\n    args: [1,\n      '{missing}']\n", 5,
	 "nothing fills {missing}: give --set missing="},
	{JOBS "  a:\n    task: noop\n    args: 'x {run}'\n", 4, "FLOTILLA_RUN"},
	{JOBS "  a:\n    task: noop\n    args: 'x {lr'\n", 4, "for a brace write {{"},
	{JOBS "  a:\n    task: noop\n    args: '{}'\n", 4, "for a brace write {{"},
	{JOBS "  a:\n    task: noop\n    args: '{print $1}'\n", 4, "for a brace write {{"},
	{JOBS "  a:\n    task: noop\n    args: 'x }'\n", 4, "for a brace write }}"},
	{JOBS "  a: { task: noop, matrix: { depth: [1] }, args: '{dept}' }\n", 2, "is {depth} meant?"},
	/* matrices */
	{JOBS "  a:\n    task: noop\n    matrix: {}\n", 4, "matrix is empty"},
	{JOBS "  a:\n    task: noop\n    matrix: { x: [] }\n", 4, "matrix: x is empty"},
	{JOBS "  a:\n    task: noop\n    matrix: { x: 3 }\n", 4, "x has to be a list"},
	{JOBS "  a:\n    task: noop\n    matrix: [1]\n", 4, "matrix has to be a map"},
	{JOBS "  a:\n    task: noop\n    matrix: { 'a b': [1] }\n", 4, "can be no variable"},
	{JOBS "  a:\n    task: noop\n    matrix: { x: [1, 1] }\n", 2, "two jobs are called a.x=1"},
	{JOBS "  a:\n    task: noop\n    matrix: { x: ['a b', 'a:b'] }\n", 2, "two jobs are called a.x=a_b"},
	{A "  'b c': { task: noop }\n  'b:c': { task: noop }\n", 4, "two jobs are called b_c (the other at line 3)"},
};

Test(workflow_bad, each_file_gets_its_line_and_words)
{
	const struct workflow_options none = {0};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct workflow workflow = {0};
		char path[64], start[96];
		struct err err = {0};
		int r = load_text(rows[i].text, ".yaml", &none, &workflow, path, &err);

		snprintf(start, sizeof start, "%s:%d: ", path, rows[i].line);
		cr_expect_eq(r, ERR_INPUT, "taken, but wrong:\n%s", rows[i].text);
		cr_expect(!strncmp(err.text, start, strlen(start)) && strstr(err.text, rows[i].expected),
			  "wanted line %d and \"%s\", got: %s\nin:\n%s", rows[i].line, rows[i].expected, err.text,
			  rows[i].text);
		cr_expect(!strchr(err.text, '\n'));
		workflow_release(&workflow);
	}
}

Test(workflow_bad, the_values_of_set)
{
	static const struct {
		const char *sets[2];
		const char *expected;
	} sets[] = {
		{{"level", NULL}, "write NAME=VALUE"},
		{{"=3", NULL}, "write NAME=VALUE"},
		{{"a b=3", NULL}, "write NAME=VALUE"},
		{{"level=3", "level=4"}, "--set level is given twice"},
		{{"level=3", "other=4"}, "--set other: no {other} in"},
		{{"level=[3", NULL}, "--set level"},
		{{"lvel=3", NULL}, "is {lvel} meant?"},
	};

	for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) {
		const struct workflow_options options = {.sets = sets[i].sets, .set_count = sets[i].sets[1] ? 2 : 1};
		struct workflow workflow = {0};
		char path[64];
		struct err err = {0};

		cr_expect_lt(load_text(JOBS "  a: { task: noop, args: '{level}' }\n", ".yaml", &options, &workflow,
				       path, &err),
			     0);
		cr_expect(strstr(err.text, sets[i].expected), "wanted \"%s\", got: %s", sets[i].expected, err.text);
		workflow_release(&workflow);
	}
}

Test(workflow_bad, a_long_cycle_is_named_on_one_line)
{
	const struct workflow_options none = {0};
	CLEANUP(buf_release) struct buf text = BUF_INIT;
	struct workflow workflow = {0};
	char path[64];
	struct err err = {0};

	buf_adds(&text, JOBS);
	for (int i = 0; i < 1000; i++)
		buf_addf(&text, "  job-%d: { task: noop, after: job-%d }\n", i, (i + 999) % 1000);
	cr_assert_eq(load_text(text.data, ".yaml", &none, &workflow, path, &err), ERR_INPUT);
	cr_assert(strstr(err.text, ".yaml:2: these jobs wait for one another: job-0 → job-1 → "), "%s", err.text);
	cr_assert(strstr(err.text, "more) → job-0; take out one `after`"), "%s", err.text);
}

Test(workflow_bad, no_file_and_a_directory)
{
	const struct workflow_options none = {0};
	struct workflow workflow;
	struct err err;

	cr_assert_eq(workflow_load("/nonexistent/x.yaml", &none, &workflow, &err), ERR_NOT_FOUND);
	cr_assert_str_eq(err.text, "/nonexistent/x.yaml: no such file");
	cr_assert_eq(workflow_load("/tmp", &none, &workflow, &err), ERR_INPUT);
}

Test(workflow_bad, replay_is_for_recordings)
{
	const struct workflow_options options = {.replay = 1};
	struct workflow workflow;
	char path[64];
	struct err err;

	cr_assert_eq(load_text(A, ".yaml", &options, &workflow, path, &err), ERR_USAGE);
	cr_assert(strstr(err.text, "--replay is for recorded workflows"));
}
