#include "workflow/wfformat.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "base/cleanup.h"

#define TASK_NAME_MAX 128 /* longer ids are cut: a job's id holds the run's name too */

struct key {
	char *text;
	size_t index;
	UT_hash_handle hh;
};

struct wf_reader {
	const char *text;
	const struct workflow_options *options;
	struct plan *plan;
	struct recording recording;
	size_t file_cap;
	struct key *tasks; /* by id */
	struct key *files; /* by name in the run's directory */
};

static const struct key *key_find(const struct key *keys, const char *text)
{
	struct key *found;
	HASH_FIND_STR(keys, text, found);
	return found;
}

static void key_add(struct key **keys, const char *text, size_t index)
{
	struct key *key = xcalloc(1, sizeof *key);

	key->text = xstrdup(text);
	key->index = index;
	HASH_ADD_KEYPTR(hh, *keys, key->text, strlen(key->text), key);
}

static void keys_free(struct key **keys)
{
	struct key *key, *next;

	HASH_ITER(hh, *keys, key, next)
	{
		HASH_DEL(*keys, key);
		free(key->text);
		free(key);
	}
}

static void reader_release(struct wf_reader *reader)
{
	struct recording *recording = &reader->recording;

	for (size_t i = 0; i < recording->task_count; i++) {
		free(recording->tasks[i].inputs);
		free(recording->tasks[i].outputs);
	}
	for (size_t i = 0; i < recording->file_count; i++)
		free(recording->files[i].name);
	free(recording->tasks);
	free(recording->files);
	keys_free(&reader->tasks);
	keys_free(&reader->files);
}

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));
	return text && *text ? text : NULL;
}

/* Adds the job of a task, under its id as far as an id can have it, and with its place behind it where that is taken.
 */
static int add_job(struct wf_reader *reader, size_t index, struct err *err)
{
	const char *id = reader->recording.tasks[index].id;
	int line = reader->recording.tasks[index].line;
	CLEANUP(buf_release) struct buf name = BUF_INIT;
	bool cut = strlen(id) > TASK_NAME_MAX;

	buf_add(&name, id, cut ? TASK_NAME_MAX : strlen(id));
	name_clean(name.data, true);
	if (cut)
		buf_addf(&name, "_%zu", index + 1);
	while (plan_name_taken(reader->plan, name.data))
		buf_addf(&name, "_%zu", index + 1);
	plan_add(reader->plan, name.data, line);
	return plan_name_add(reader->plan, name.data, index, 1, line, err);
}

static int read_task(struct wf_reader *reader, const json_t *json, size_t index, struct err *err)
{
	struct wf_task *task = &reader->recording.tasks[index];
	const char *id = text_of(json, "id");

	if (!id)
		return plan_error(reader->plan, task->line, err, ERR_INPUT,
				  "workflow.specification.tasks[%zu] has no `id`: each task needs one", index);
	if (key_find(reader->tasks, id))
		return plan_error(reader->plan, task->line, err, ERR_INPUT,
				  "two tasks of workflow.specification have the id %s: make them different", id);
	task->id = id;
	task->name = text_of(json, "name") ? text_of(json, "name") : id;
	task->seconds = -1;
	key_add(&reader->tasks, id, index);
	return add_job(reader, index, err);
}

static int read_tasks(struct wf_reader *reader, const json_t *tasks, struct err *err)
{
	size_t count = json_array_size(tasks);
	int r = 0;

	if (!count)
		return plan_error(reader->plan, 0, err, ERR_INPUT,
				  "workflow.specification.tasks has to be a list of at least one task");
	if (count > PLAN_MAX_JOBS)
		return plan_error(reader->plan, 0, err, ERR_INPUT, "more than %zu tasks", PLAN_MAX_JOBS);
	reader->recording.tasks = xcalloc(count, sizeof *reader->recording.tasks);
	reader->recording.task_count = count;
	wf_task_lines(reader->text, &reader->recording);
	for (size_t i = 0; i < count && r == 0; i++)
		r = read_task(reader, json_array_get(tasks, i), i, err);
	return r;
}

/* The texts of a list of a task; a missing list has none. */
static int list_of(const struct wf_reader *reader, const json_t *json, const struct wf_task *task, const char *key,
		   const json_t **ret, struct err *err)
{
	const json_t *list = json_object_get(json, key);

	*ret = list;
	if (list && !json_is_array(list))
		return plan_error(reader->plan, task->line, err, ERR_INPUT, "task %s: %s has to be a list", task->id,
				  key);
	for (size_t i = 0; i < json_array_size(list); i++)
		if (!json_string_length(json_array_get(list, i)))
			return plan_error(reader->plan, task->line, err, ERR_INPUT, "task %s: %s[%zu] has to be text",
					  task->id, key, i);
	return 0;
}

/* The edges that a task names from its side: `parents` or `children`. Those that both sides name become one. */
static int read_edges(struct wf_reader *reader, const json_t *json, size_t index, const char *key, struct err *err)
{
	const struct wf_task *task = &reader->recording.tasks[index];
	bool parents = *key == 'p';
	const json_t *list;
	int r = list_of(reader, json, task, key, &list, err);

	for (size_t i = 0; i < json_array_size(list) && r == 0; i++) {
		const char *other = json_string_value(json_array_get(list, i));
		const struct key *found = key_find(reader->tasks, other);

		if (!found)
			return plan_error(reader->plan, task->line, err, ERR_INPUT,
					  "task %s: %s names %s, which is no task of workflow.specification", task->id,
					  key, other);
		plan_depend(&reader->plan->jobs[parents ? index : found->index], NULL, parents ? found->index : index,
			    JOB_WHEN_SUCCEEDED, 0);
	}
	return r;
}

/* The number of a file, which is added where it is not known yet; its size then is 0. */
static int file_index(struct wf_reader *reader, const char *id, size_t *ret, struct err *err)
{
	struct recording *recording = &reader->recording;
	CLEANUP(freep) char *name = file_name_clean(id);
	const struct key *known;

	if (!name)
		return plan_error(reader->plan, 0, err, ERR_INPUT,
				  "the file %.100s can have no such name: it is empty or a part of it is too long", id);
	known = key_find(reader->files, name);
	if (known) {
		*ret = known->index;
		return 0;
	}
	if (recording->file_count == reader->file_cap) {
		reader->file_cap = reader->file_cap ? reader->file_cap * 2 : 64;
		recording->files = xrealloc(recording->files, reader->file_cap * sizeof *recording->files);
	}
	key_add(&reader->files, name, recording->file_count);
	recording->files[recording->file_count] = (struct wf_file){.name = TAKE_PTR(name)};
	*ret = recording->file_count++;
	return 0;
}

static int read_files(struct wf_reader *reader, const json_t *files, struct err *err)
{
	int r = 0;

	if (files && !json_is_array(files))
		return plan_error(reader->plan, 0, err, ERR_INPUT, "workflow.specification.files has to be a list");
	for (size_t i = 0; i < json_array_size(files) && r == 0; i++) {
		const json_t *json = json_array_get(files, i);
		const char *id = text_of(json, "id");
		const json_t *size = json_object_get(json, "sizeInBytes");
		double bytes = json_number_value(size);
		size_t index;

		if (!id)
			return plan_error(reader->plan, 0, err, ERR_INPUT,
					  "workflow.specification.files[%zu] has no `id`: each file needs one", i);
		if (!json_is_number(size) || bytes < 0)
			return plan_error(reader->plan, 0, err, ERR_INPUT,
					  "file %s: sizeInBytes has to be a number, 0 or more", id);
		bytes = ceil(bytes * reader->options->file_factor);
		r = file_index(reader, id, &index, err);
		if (r == 0)
			reader->recording.files[index].size =
				bytes < (double)FILE_MAX_SIZE ? (int64_t)bytes : FILE_MAX_SIZE;
	}
	return r;
}

static int read_task_files(struct wf_reader *reader, const json_t *json, const struct wf_task *task, const char *key,
			   size_t **ret, size_t *ret_count, struct err *err)
{
	const json_t *list;
	size_t count;
	int r = list_of(reader, json, task, key, &list, err);

	if (r < 0)
		return r;
	count = json_array_size(list);
	*ret = xcalloc(count, sizeof **ret);
	*ret_count = count;
	for (size_t i = 0; i < count && r == 0; i++)
		r = file_index(reader, json_string_value(json_array_get(list, i)), &(*ret)[i], err);
	return r;
}

static int read_specification(struct wf_reader *reader, const json_t *specification, struct err *err)
{
	const json_t *tasks = json_object_get(specification, "tasks");
	int r = read_tasks(reader, tasks, err);

	if (r == 0)
		r = read_files(reader, json_object_get(specification, "files"), err);
	for (size_t i = 0; i < reader->recording.task_count && r == 0; i++) {
		struct wf_task *task = &reader->recording.tasks[i];
		const json_t *json = json_array_get(tasks, i);

		r = read_edges(reader, json, i, "parents", err);
		if (r == 0)
			r = read_edges(reader, json, i, "children", err);
		if (r == 0)
			r = read_task_files(reader, json, task, "inputFiles", &task->inputs, &task->input_count, err);
		if (r == 0)
			r = read_task_files(reader, json, task, "outputFiles", &task->outputs, &task->output_count,
					    err);
	}
	return r;
}

static int read_execution(struct wf_reader *reader, const json_t *execution, struct err *err)
{
	const json_t *tasks = json_object_get(execution, "tasks");

	if (!json_is_array(tasks))
		return plan_error(reader->plan, 0, err, ERR_INPUT,
				  "workflow.execution.tasks is missing: only a workflow that has run can be replayed");
	for (size_t i = 0; i < json_array_size(tasks); i++) {
		const json_t *json = json_array_get(tasks, i);
		const char *id = text_of(json, "id");
		const struct key *found = id ? key_find(reader->tasks, id) : NULL;
		const json_t *seconds = json_object_get(json, "runtimeInSeconds");

		if (!id)
			return plan_error(reader->plan, 0, err, ERR_INPUT, "workflow.execution.tasks[%zu] has no `id`",
					  i);
		if (!json_is_number(seconds) || json_number_value(seconds) < 0)
			return plan_error(reader->plan, 0, err, ERR_INPUT,
					  "task %s: runtimeInSeconds in workflow.execution has to be a number, 0 or "
					  "more",
					  id);
		if (found)
			reader->recording.tasks[found->index].seconds = json_number_value(seconds);
	}
	for (size_t i = 0; i < reader->recording.task_count; i++)
		if (reader->recording.tasks[i].seconds < 0)
			return plan_error(reader->plan, reader->recording.tasks[i].line, err, ERR_INPUT,
					  "task %s has no entry in workflow.execution.tasks, so its run time is not "
					  "known",
					  reader->recording.tasks[i].id);
	return 0;
}

/* A file that is also a directory of another (a task's output was a directory) gets another name. */
static void part_files_from_directories(struct wf_reader *reader)
{
	struct recording *recording = &reader->recording;

	for (size_t i = 0; i < recording->file_count; i++) {
		CLEANUP(freep) char *name = xstrdup(recording->files[i].name);

		for (char *slash = strchr(name, '/'); slash; slash = strchr(slash + 1, '/')) {
			CLEANUP(freep) char *directory = xmemdup0(name, (size_t)(slash - name));
			const struct key *found = key_find(reader->files, directory);
			CLEANUP(buf_release) struct buf other = BUF_INIT;

			if (!found || strcmp(recording->files[found->index].name, directory) != 0)
				continue;
			buf_adds(&other, directory);
			do
				buf_adds(&other, "_");
			while (key_find(reader->files, other.data));
			key_add(&reader->files, other.data, found->index);
			free(recording->files[found->index].name);
			recording->files[found->index].name = buf_detach(&other);
		}
	}
}

static int check_head(const struct wf_reader *reader, const json_t *root, struct err *err)
{
	const char *version = text_of(root, "schemaVersion");
	const json_t *workflow = json_object_get(root, "workflow");

	if (!version)
		return plan_error(reader->plan, 0, err, ERR_INPUT,
				  "schemaVersion is missing: WfFormat 1.5 is read, or a workflow file with `jobs`");
	if (strcmp(version, "1.5") != 0)
		return plan_error(reader->plan, 0, err, ERR_INPUT,
				  "this is WfFormat %s; 1.5 is read: convert the file to it", version);
	if (!json_is_object(workflow) || !json_is_object(json_object_get(workflow, "specification")))
		return plan_error(reader->plan, 0, err, ERR_INPUT,
				  "workflow.specification is missing: this is no whole WfFormat 1.5 file");
	if (!(reader->options->replay > 0) || !isfinite(reader->options->replay))
		return plan_error(reader->plan, 0, err, ERR_USAGE,
				  "a recorded workflow: give --replay SCALE, such as 0.01 for a hundredth of the "
				  "recorded times");
	if (reader->options->set_count)
		return plan_error(reader->plan, 0, err, ERR_USAGE,
				  "--set: a recorded workflow has no placeholders; leave it out");
	return 0;
}

static int read_recording(struct wf_reader *reader, const json_t *root, struct workflow *workflow, struct err *err)
{
	const json_t *body = json_object_get(root, "workflow");
	CLEANUP(freep) size_t *order = NULL;
	int r = check_head(reader, root, err);

	if (r == 0)
		r = read_specification(reader, json_object_get(body, "specification"), err);
	if (r == 0)
		r = read_execution(reader, json_object_get(body, "execution"), err);
	if (r < 0)
		return r;
	part_files_from_directories(reader);
	r = plan_resolve(reader->plan, reader->options->limits->max_body, workflow, &order, err);
	if (r == 0)
		r = replay_jobs(&reader->recording, order, reader->options, reader->plan, workflow, err);
	if (r == 0 && text_of(root, "name"))
		workflow->name = xstrdup(text_of(root, "name"));
	workflow->replay = true;
	return r;
}

int wfformat_read(const struct buf *text, const struct workflow_options *options, struct plan *plan,
		  struct workflow *workflow, bool *recorded, struct err *err)
{
	CLEANUP(reader_release) struct wf_reader reader = {.text = text->data, .options = options, .plan = plan};
	size_t file_len = strlen(plan->file);
	json_error_t fault;
	json_t *root;
	int r = 0;

	*recorded = false;
	if (text->len == 0 || text->data[strspn(text->data, " \t\r\n")] != '{')
		return 0;
	root = json_loadb(text->data, text->len, JSON_REJECT_DUPLICATES, &fault);
	if (!root && file_len > 5 && !strcmp(plan->file + file_len - 5, ".json"))
		return plan_error(plan, fault.line, err, ERR_INPUT, "this is no JSON: %s", fault.text);
	if (json_object_get(root, "workflow") || json_object_get(root, "schemaVersion")) {
		*recorded = true;
		r = read_recording(&reader, root, workflow, err);
	}
	json_decref(root);
	return r;
}
