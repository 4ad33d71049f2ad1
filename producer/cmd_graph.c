/* A file's graph is the workflow's; a run's comes from the stored specs, with the states as they are now. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uthash.h>

#include "base/cleanup.h"
#include "commands.h"
#include "out.h"
#include "record.h"
#include "session.h"
#include "workflow/workflow.h"

enum { OPT_DOT = 0x1000, OPT_SET };

static const struct argp_option options_[] = {
	{"dot", OPT_DOT, 0, 0, "for Graphviz", 0},
	{"set", OPT_SET, "NAME=VALUE", 0, "of a file: fills a placeholder; may be repeated", 0},
	{0},
};

struct options {
	struct texts sets;
	bool dot;
};

static int take(void *data, int key, const char *value, struct err *err)
{
	struct options *options = data;

	(void)err;
	if (key == OPT_DOT)
		options->dot = true;
	else
		texts_add(&options->sets, value);
	return 0;
}

static void release(void *data) { texts_release(&((struct options *)data)->sets); }

/* A recording wants a scale, though nothing is replayed here. */
static int graph_file(const struct app *app, const char *path, const struct options *options, struct err *err)
{
	struct workflow_options reading = {
		.sets = options->sets.at, .set_count = options->sets.count, .limits = &app->limits};
	CLEANUP(workflow_release) struct workflow workflow = {0};
	CLEANUP(buf_release) struct buf text = BUF_INIT;
	int r = workflow_load(path, &reading, &workflow, err);

	if (r == ERR_USAGE && strcmp(path, "-") != 0) {
		reading.replay = 1;
		r = workflow_load(path, &reading, &workflow, err);
	}
	if (r < 0)
		return r;
	if (options->dot)
		workflow_dot(&workflow, &text);
	else
		workflow_text(&workflow, &text);
	fwrite(text.data, 1, text.len, stdout);
	return EXIT_OK;
}

/* --- a run --- */

struct member {
	const char *id; /* borrowed */
	char *state, *task;
	struct job job; /* its spec; zeroed where that is kept no more */
	size_t level;   /* behind how many others, at most */
	UT_hash_handle hh;
};

struct members {
	const struct job_limits *limits;
	struct member *at;
	size_t count;
};

static void on_record(void *data, size_t index, const struct store_reply *record)
{
	struct members *members = data;

	members->at[index].state = xstrdup(record_text(record, "state"));
	members->at[index].task = xstrdup(record_text(record, "task"));
}

static void on_spec(void *data, size_t index, const struct store_reply *reply)
{
	struct members *members = data;
	struct member *member = &members->at[index];
	size_t len;
	const char *spec = store_reply_text(reply, &len);
	struct err err;

	if (job_decode_spec(&member->job, spec, len, member->id, DEFAULT_POOL, NULL, members->limits, &err) < 0)
		member->job = (struct job){0};
}

/* Behind the deepest of its predecessors. True where that was news. */
static bool sink(struct member *by_id, struct member *member, size_t deepest)
{
	size_t level = 0;

	for (size_t i = 0; i < member->job.after_count; i++) {
		struct member *pred;
		HASH_FIND_STR(by_id, member->job.after[i].id, pred);
		if (pred && pred->level >= level)
			level = pred->level + 1;
	}
	if (level <= member->level || level > deepest)
		return false;
	member->level = level;
	return true;
}

static int by_level(const void *a, const void *b)
{
	const struct member *x = a, *y = b;

	if (x->level != y->level)
		return x->level < y->level ? -1 : 1;
	return strcmp(x->id, y->id);
}

/* Every job behind its predecessors; a cycle ends at the deepest level that there can be. */
static void sort_members(struct members *members)
{
	struct member *by_id = NULL;
	bool changed = true;

	for (size_t i = 0; i < members->count; i++)
		HASH_ADD_KEYPTR(hh, by_id, members->at[i].id, strlen(members->at[i].id), &members->at[i]);
	while (changed) {
		changed = false;
		for (size_t i = 0; i < members->count; i++)
			changed |= sink(by_id, &members->at[i], members->count);
	}
	HASH_CLEAR(hh, by_id);
	qsort(members->at, members->count, sizeof *members->at, by_level);
}

static const char *dot_color(const char *state)
{
	static const char *const colors[][2] = {
		{"succeeded", "palegreen"}, {"failed", "salmon"}, {"running", "lightskyblue"}, {"skipped", "khaki"},
		{"cancelled", "plum"},      {"expired", "plum"},  {"queued", "lightgrey"},
	};

	for (size_t i = 0; i < sizeof colors / sizeof *colors; i++)
		if (strcmp(state, colors[i][0]) == 0)
			return colors[i][1];
	return "white";
}

/* Ids hold no character that would have to be escaped. */
static void print_dot(const struct members *members, const char *run)
{
	printf("digraph \"%s\" {\n\trankdir=LR;\n\tnode [shape=box, style=filled];\n", run);
	for (size_t i = 0; i < members->count; i++) {
		const struct member *member = &members->at[i];
		printf("\t\"%s\" [fillcolor=%s, label=\"%s\\n%s\"];\n", member->id, dot_color(member->state),
		       member->id, member->state);
		for (size_t j = 0; j < member->job.after_count; j++) {
			const struct job_dep *dep = &member->job.after[j];
			printf("\t\"%s\" -> \"%s\"%s%s%s;\n", dep->id, member->id,
			       dep->when == JOB_WHEN_SUCCEEDED ? "" : " [label=",
			       dep->when == JOB_WHEN_SUCCEEDED ? "" : job_when_name(dep->when),
			       dep->when == JOB_WHEN_SUCCEEDED ? "" : "]");
		}
	}
	puts("}");
}

static void print_list(const struct members *members)
{
	struct table table = {.columns = 4, .fancy = out_fancy(stdout), .state = 1};
	static const char *const head[] = {"JOB", "STATE", "TASK", "AFTER"};

	for (size_t i = 0; i < 4; i++)
		table_add(&table, head[i]);
	for (size_t i = 0; i < members->count; i++) {
		const struct member *member = &members->at[i];
		CLEANUP(buf_release) struct buf after = BUF_INIT;
		for (size_t j = 0; j < member->job.after_count; j++) {
			const struct job_dep *dep = &member->job.after[j];
			buf_addf(&after, "%s%s", j ? ", " : "", dep->id);
			if (dep->when != JOB_WHEN_SUCCEEDED)
				buf_addf(&after, ":%s", job_when_name(dep->when));
		}
		table_add(&table, member->id);
		table_add(&table, member->state);
		table_add(&table, member->task);
		table_add(&table, after.data ? after.data : "");
	}
	table_print(&table, stdout);
	table_release(&table);
}

static void members_release(struct members *members)
{
	for (size_t i = 0; i < members->count; i++) {
		free(members->at[i].state);
		free(members->at[i].task);
		job_release(&members->at[i].job);
	}
	free(members->at);
}

static int graph_run(struct app *app, const char *run, bool dot, struct err *err)
{
	CLEANUP(ids_release) struct ids ids = {0};
	CLEANUP(session_close) struct session session = {0};
	CLEANUP(members_release) struct members members = {.limits = &session.limits};
	int r;

	if (check_id(run, err) < 0 || session_open(&session, app, err) < 0 ||
	    session_ids_of_run(&session, run, &ids, err) < 0)
		return err->code;
	if (ids.count == 0)
		return err_set(err, ERR_NOT_FOUND, "there is no file and no run %s", run);
	members.at = xcalloc(ids.count, sizeof *members.at);
	members.count = ids.count;
	for (size_t i = 0; i < ids.count; i++)
		members.at[i].id = ids.at[i];
	r = session_each(&session, "HGETALL", KEY_JOB, (const char *const *)ids.at, ids.count, on_record, &members,
			 err);
	if (r == 0)
		r = session_each(&session, "GET", KEY_SPEC, (const char *const *)ids.at, ids.count, on_spec, &members,
				 err);
	if (r < 0)
		return r;
	sort_members(&members);
	if (dot)
		print_dot(&members, run);
	else
		print_list(&members);
	return EXIT_OK;
}

static int exec(struct app *app, void *data, struct err *err)
{
	const struct options *options = data;
	const char *what = app->args[0];

	if (strcmp(what, "-") == 0 || access(what, F_OK) == 0)
		return graph_file(app, what, options, err);
	return graph_run(app, what, options->dot, err);
}

const struct command command_graph = {
	.name = "graph",
	.args = "RUN|FILE",
	.help = "show what comes after what, of a run or a file",
	.options = options_,
	.take = take,
	.options_size = sizeof(struct options),
	.release = release,
	.min_args = 1,
	.max_args = 1,
	.exec = exec,
};
