/* Recorded workflows: synthetic ones, wrong ones, and those that lie beside the repository, where they do. */
#include <limits.h>
#include <msgpack.h>
#include <sys/stat.h>

#include "job/json.h"
#include "scratch.h"
#include "workflow_files.h"

static const struct workflow_options scale = {.replay = 0.5, .file_factor = 0.1};

/* `tasks`, `files` and `runs` are the insides of the three lists. */
static char *recording(const char *tasks, const char *files, const char *runs)
{
	struct buf json = BUF_INIT;

	buf_addf(&json,
		 "{\"name\": \"demo/1\", \"schemaVersion\": \"1.5\", \"workflow\": {\n\"specification\": {\"tasks\": "
		 "[%s],\n\"files\": [%s]},\n\"execution\": {\"tasks\": [%s]}}}",
		 tasks, files, runs);
	return buf_detach(&json);
}

static struct workflow load_json(const char *text)
{
	struct workflow workflow = {0};
	char path[64];
	struct err err = {0};

	cr_assert_eq(load_text(text, ".json", &scale, &workflow, path, &err), 0, "%s\nin:\n%s", err.text, text);
	cr_assert(workflow.replay);
	assert_ordered(&workflow);
	return workflow;
}

static void expect_fields(const struct workflow *workflow, const char *name, const char *expected)
{
	const struct workflow_job *job = job_named(workflow, name);
	CLEANUP(buf_release) struct buf json = BUF_INIT;
	msgpack_unpacked unpacked;
	struct err err;

	msgpack_unpacked_init(&unpacked);
	cr_assert_eq(msgpack_unpack_next(&unpacked, job->fields, job->fields_len, NULL), MSGPACK_UNPACK_SUCCESS);
	cr_assert_eq(msgpack_to_json(&unpacked.data, &json, &err), 0);
	msgpack_unpacked_destroy(&unpacked);
	cr_expect_str_eq(json.data, expected);
}

#define RUN(id, seconds) "{\"id\": \"" id "\", \"runtimeInSeconds\": " seconds "}"
#define SIZE(id, bytes) "{\"id\": \"" id "\", \"sizeInBytes\": " bytes "}"

Test(workflow_wfformat, jobs_edges_and_files)
{
	/* c reads what its ancestor a wrote, what nobody wrote, and what only d, no ancestor of its, wrote. */
	CLEANUP(freep)
	char *text =
		recording("{\"id\": \"c\", \"name\": \"third\", \"parents\": [\"b\"], \"inputFiles\": [\"/x/a.out\", "
			  "\"in\", \"d.out\", "
			  "\"in\"]},"
			  "{\"id\": \"a\", \"children\": [\"b\"], \"outputFiles\": [\"/x/a.out\"]},"
			  "{\"id\": \"b\", \"parents\": [\"a\"], \"children\": [\"c\"]},"
			  "{\"id\": \"d\", \"outputFiles\": [\"d.out\", \"d.out2\"]}",
			  SIZE("/x/a.out", "100") "," SIZE("in", "1001") "," SIZE("d.out", "0") "," SIZE("unused", "7"),
			  RUN("a", "2") "," RUN("b", "0") "," RUN("c", "1.5") "," RUN("d", "1"));
	CLEANUP(workflow_release) struct workflow workflow = load_json(text);

	cr_assert_str_eq(workflow.name, "demo_1");
	cr_assert_eq(workflow.count, 4);
	cr_assert_eq(edges_of(&workflow), 2);
	expect_fields(&workflow, "a",
		      "{\"task\":\"replay\",\"args\":{\"seconds\":1.0,\"inputs\":[],"
		      "\"outputs\":[{\"name\":\"x/a.out\",\"size\":10}]},\"labels\":{\"task\":\"a\"}}");
	expect_fields(&workflow, "c",
		      "{\"task\":\"replay\",\"args\":{\"seconds\":0.75,\"inputs\":[\"x/a.out\",\"in\"],"
		      "\"outputs\":[]},\"labels\":{\"task\":\"third\"}}");
	expect_fields(
		&workflow, "d",
		"{\"task\":\"replay\",\"args\":{\"seconds\":0.5,\"inputs\":[],\"outputs\":["
		"{\"name\":\"d.out\",\"size\":0},{\"name\":\"d.out2\",\"size\":0}]},\"labels\":{\"task\":\"d\"}}");
	cr_assert_eq(workflow.file_count, 1);
	cr_assert_str_eq(workflow.files[0].name, "in");
	cr_assert_eq(workflow.files[0].size, 101);
	assert_round_trip(&workflow);
}

Test(workflow_wfformat, names_that_ids_and_paths_cannot_have)
{
	CLEANUP(freep)
	char *text = recording("{\"id\": \"t 1\", \"outputFiles\": [\"../up\", \"//out/./dir\", \"out/dir/file\"]},"
			       "{\"id\": \"t:1\", \"parents\": [\"t 1\"], \"inputFiles\": [\"out/dir\", "
			       "\"/out/dir/file\", \"../up\"]}",
			       "", RUN("t 1", "1") "," RUN("t:1", "1"));
	CLEANUP(workflow_release) struct workflow workflow = load_json(text);

	cr_assert_str_eq(workflow.jobs[0].name, "t_1");
	cr_assert_str_eq(workflow.jobs[1].name, "t_1_2");
	expect_fields(
		&workflow, "t_1_2",
		"{\"task\":\"replay\",\"args\":{\"seconds\":0.5,\"inputs\":[\"out/dir_\",\"out/dir/file\",\"_/up\"],"
		"\"outputs\":[]},\"labels\":{\"task\":\"t:1\"}}");
	cr_assert_eq(workflow.file_count, 0);
	assert_round_trip(&workflow);
}

#define T(id) "{\"id\": \"" id "\"}"

Test(workflow_wfformat, wrong_recordings)
{
	static const struct {
		const char *tasks, *files, *runs, *expected;
	} rows[] = {
		{"", "", "", "list of at least one task"},
		{"{}", "", "", "tasks[0] has no `id`"},
		{T("a") "," T("a"), "", "", "two tasks of workflow.specification have the id a"},
		{T("a"), "", "", "task a has no entry in workflow.execution.tasks"},
		{T("a"), "", "{}", "workflow.execution.tasks[0] has no `id`"},
		{T("a"), "", "{\"id\": \"a\"}", "task a: runtimeInSeconds"},
		{T("a"), "", RUN("a", "-1"), "task a: runtimeInSeconds"},
		{T("a"), "", RUN("a", "\"1\""), "task a: runtimeInSeconds"},
		{"{\"id\": \"a\", \"parents\": [\"z\"]}", "", RUN("a", "1"), "task a: parents names z"},
		{"{\"id\": \"a\", \"children\": [\"z\"]}", "", RUN("a", "1"), "task a: children names z"},
		{"{\"id\": \"a\", \"parents\": 3}", "", RUN("a", "1"), "task a: parents has to be a list"},
		{"{\"id\": \"a\", \"inputFiles\": [3]}", "", RUN("a", "1"), "task a: inputFiles[0] has to be text"},
		{"{\"id\": \"a\", \"inputFiles\": [\"/\"]}", "", RUN("a", "1"), "the file / can have no such name"},
		{T("a"), "{}", RUN("a", "1"), "files[0] has no `id`"},
		{T("a"), "{\"id\": \"f\"}", RUN("a", "1"), "file f: sizeInBytes"},
		{"{\"id\": \"a\", \"parents\": [\"b\"]}, {\"id\": \"b\", \"parents\": [\"a\"]}", "",
		 RUN("a", "1") "," RUN("b", "1"), "wait for one another: a → b → a"},
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		CLEANUP(freep) char *text = recording(rows[i].tasks, rows[i].files, rows[i].runs);
		struct workflow workflow = {0};
		char path[64];
		struct err err = {0};

		cr_expect_eq(load_text(text, ".json", &scale, &workflow, path, &err), ERR_INPUT);
		cr_expect(strstr(err.text, rows[i].expected) && !strncmp(err.text, path, strlen(path)),
			  "wanted \"%s\", got: %s", rows[i].expected, err.text);
		workflow_release(&workflow);
	}
}

Test(workflow_wfformat, errors_name_the_line_of_the_task)
{
	CLEANUP(freep)
	char *text = recording(
		"\n{\"id\": \"a\", \"x\": {\"tasks\": [{}, \"\\\"{[\\n\"]}},\n\n{\"id\": \"b\",\n\"parents\": [\"z\"]}",
		"", RUN("a", "1") "," RUN("b", "1"));
	struct workflow workflow;
	char path[64], start[96];
	struct err err;

	cr_assert_eq(load_text(text, ".json", &scale, &workflow, path, &err), ERR_INPUT);
	snprintf(start, sizeof start, "%s:5: task b: parents names z", path);
	cr_expect(!strncmp(err.text, start, strlen(start)), "%s", err.text);
}

Test(workflow_wfformat, what_is_no_wfformat_1_5)
{
	static const struct workflow_options none = {0};
	static const struct {
		const char *text, *expected;
	} rows[] = {
		{"{\"workflow\": {}", ":1: this is no JSON"},
		{"{\n\"workflow\": {,}}", ":2: this is no JSON"},
		{"{\"workflow\": {}, \"workflow\": {}}", "this is no JSON: duplicate"},
		{"{\"workflow\": {\"tasks\": []}}", "schemaVersion is missing"},
		{"{\"schemaVersion\": \"1.4\", \"workflow\": {\"tasks\": []}}", "this is WfFormat 1.4; 1.5 is read"},
		{"{\"schemaVersion\": \"1.5\", \"workflow\": {\"tasks\": []}}", "workflow.specification is missing"},
		{"{\"schemaVersion\": \"1.5\", \"workflow\": {\"specification\": {}}}", "give --replay SCALE"},
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct workflow workflow = {0};
		char path[64];
		struct err err = {0};

		cr_expect_lt(load_text(rows[i].text, ".json", &none, &workflow, path, &err), 0);
		cr_expect(strstr(err.text, rows[i].expected), "wanted \"%s\", got: %s", rows[i].expected, err.text);
		workflow_release(&workflow);
	}
}

Test(workflow_wfformat, a_replay_needs_no_set)
{
	const char *const sets[] = {"a=1"};
	const struct workflow_options options = {.sets = sets, .set_count = 1, .replay = 1};
	CLEANUP(freep) char *text = recording(T("a"), "", RUN("a", "1"));
	struct workflow workflow;
	char path[64];
	struct err err;

	cr_assert_eq(load_text(text, ".json", &options, &workflow, path, &err), ERR_USAGE);
	cr_assert(strstr(err.text, "no placeholders"));
}

Test(workflow_wfformat, the_directory_is_made)
{
	CLEANUP(freep)
	char *text = recording("{\"id\": \"a\", \"inputFiles\": [\"x/y/in\", \"big\"]}",
			       SIZE("x/y/in", "1000") "," SIZE("big", "1e15"), RUN("a", "1"));
	CLEANUP(workflow_release) struct workflow workflow = load_json(text);
	char dir[SCRATCH_SIZE], path[SCRATCH_SIZE + 64];
	struct stat info;
	struct err err = {0};

	scratch_dir(dir, "workflow-test");
	snprintf(path, sizeof path, "%s/run/1", dir);
	for (int twice = 0; twice < 2; twice++)
		cr_assert_eq(workflow_replay_prepare(&workflow, path, &err), 0, "%s", err.text);
	snprintf(path, sizeof path, "%s/run/1/x/y/in", dir);
	cr_assert(stat(path, &info) == 0 && info.st_size == 100);
	snprintf(path, sizeof path, "%s/run/1/big", dir);
	cr_assert(stat(path, &info) == 0 && info.st_size == 64 << 20);
	cr_assert_eq(workflow_replay_prepare(&workflow, "/proc/none", &err), ERR_SYSTEM);
	snprintf(path, sizeof path, "%s/run/1/x/y/in", dir);
	unlink(path);
	for (int up = 0; up < 2; up++) {
		*strrchr(path, '/') = '\0';
		rmdir(path);
	}
	snprintf(path, sizeof path, "%s/run/1/big", dir);
	unlink(path);
	for (int up = 0; up < 3; up++) {
		*strrchr(path, '/') = '\0';
		rmdir(path);
	}
}

/* The recorded workflows, where FLOTILLA_TEST_DATA names their directory or they lie beside the repository. */
Test(workflow_wfformat, the_recorded_ones)
{
	static const struct {
		const char *file;
		size_t jobs, edges, fan_in;
	} rows[] = {
		{"helloworld-forkjoin-10-chameleon.json", 10, 16, 8},
		{"sarek-dirt02-001.json", 26, 50, 12},
		{"epigenomics-chameleon-hep-1seq-100k-001.json", 41, 48, 9},
		{"blast-chameleon-small-001.json", 43, 120, 40},
		{"1000genome-chameleon-2ch-100k-001.json", 52, 76, 10},
		{"montage-chameleon-2mass-005d-001.json", 58, 114, 6},
		{"montage-chameleon-2mass-05d-001.json", 1738, 4698, 414},
	};
	const char *dir = getenv("FLOTILLA_TEST_DATA");

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		CLEANUP(workflow_release) struct workflow workflow = {0};
		char path[PATH_MAX];
		size_t fan_in = 0;
		struct err err = {0};

		snprintf(path, sizeof path, "%s/%s", dir ? dir : "../shared/data/wfinstances", rows[i].file);
		if (access(path, R_OK) < 0)
			cr_skip_test("no recorded workflows here: set FLOTILLA_TEST_DATA");
		cr_assert_eq(workflow_load(path, &scale, &workflow, &err), 0, "%s", err.text);
		for (size_t k = 0; k < workflow.count; k++)
			if (workflow.jobs[k].after_count > fan_in)
				fan_in = workflow.jobs[k].after_count;
		cr_assert_eq(workflow.count, rows[i].jobs);
		cr_assert_eq(edges_of(&workflow), rows[i].edges);
		cr_assert_eq(fan_in, rows[i].fan_in);
		assert_ordered(&workflow);
		assert_round_trip(&workflow);
	}
}
