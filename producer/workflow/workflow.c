#include "workflow/workflow.h"

#include <errno.h>
#include <nettle/sha2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/hex.h"
#include "base/yaml.h"
#include "workflow/pack.h"
#include "workflow/plan.h"
#include "workflow/wfformat.h"
#include "workflow/yaml_file.h"

#define NAME_MAX_LEN 64 /* of a workflow: a run is called after it, and an id holds both run and job */

static int read_file(const char *path, const char *shown, struct buf *ret, struct err *err)
{
	CLEANUP(fclosep) FILE *opened = NULL;
	FILE *file = stdin;
	struct stat info;
	size_t got;

	if (strcmp(path, "-") != 0)
		file = opened = fopen(path, "re");
	if (!file && errno == ENOENT)
		return err_set(err, ERR_NOT_FOUND, "%s: no such file", shown);
	if (!file)
		return err_set(err, ERR_INPUT, "%s: cannot be opened: %s", shown, strerror(errno));
	if (fstat(fileno(file), &info) == 0 && S_ISDIR(info.st_mode))
		return err_set(err, ERR_INPUT, "%s: is a directory: name a workflow file", shown);
	do {
		buf_grow(ret, 64 << 10);
		got = fread(ret->data + ret->len, 1, 64 << 10, file);
		ret->len += got;
		ret->data[ret->len] = '\0';
		if (ret->len > YAML_MAX_FILE)
			return err_set(err, ERR_INPUT, "%s: larger than %d MiB", shown, YAML_MAX_FILE >> 20);
	} while (got);
	if (ferror(file))
		return err_set(err, ERR_INPUT, "%s: cannot be read: %s", shown, strerror(errno));
	return 0;
}

/* The file's base name without its ending. */
static char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');
	const char *base = slash ? slash + 1 : path;
	const char *dot = strrchr(base, '.');

	if (!strcmp(path, "-") || !*base)
		return xstrdup("workflow");
	return dot && dot > base ? xmemdup0(base, (size_t)(dot - base)) : xstrdup(base);
}

static void name_workflow(const char *path, struct workflow *workflow)
{
	if (!workflow->name)
		workflow->name = base_name(path);
	name_clean(workflow->name, false);
	if (strlen(workflow->name) > NAME_MAX_LEN)
		workflow->name[NAME_MAX_LEN] = '\0';
}

static int compare_texts(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Everything that makes another workflow of the same file goes in. Each part is closed by a NUL, which none holds. */
static void digest(const struct buf *text, const struct workflow_options *options, bool recorded, char hex[65])
{
	CLEANUP(freep) const char **sets = xcalloc(options->set_count, sizeof *sets);
	CLEANUP(buf_release) struct buf rest = BUF_INIT;
	uint8_t bytes[SHA256_DIGEST_SIZE];
	struct sha256_ctx sha;

	for (size_t i = 0; i < options->set_count; i++)
		sets[i] = options->sets[i];
	if (options->set_count)
		qsort(sets, options->set_count, sizeof *sets, compare_texts);
	buf_add(&rest, "", 1);
	for (size_t i = 0; i < options->set_count; i++)
		buf_add(&rest, sets[i], strlen(sets[i]) + 1);
	if (recorded)
		buf_addf(&rest, "replay %.17g %.17g", options->replay, options->file_factor);
	sha256_init(&sha);
	sha256_update(&sha, text->len, (const uint8_t *)text->data);
	sha256_update(&sha, rest.len, (const uint8_t *)rest.data);
	sha256_digest(&sha, sizeof bytes, bytes);
	hex_encode(bytes, sizeof bytes, hex);
}

/* A workflow file whose tasks are `replay` is a replay too: it was imported. */
static bool has_replay(const struct workflow *workflow)
{
	for (size_t i = 0; i < workflow->count; i++)
		if (job_is_replay(&workflow->jobs[i]))
			return true;
	return false;
}

static int load_yaml(const struct buf *text, const struct workflow_options *options, struct plan *plan,
		     struct workflow *ret, struct err *err)
{
	int r;

	if (options->replay > 0)
		return err_set(err, ERR_USAGE, "%s: --replay is for recorded workflows (WfFormat, .json); leave it out",
			       plan->file);
	r = yaml_file_read(text->data, text->len, options, plan, ret, err);
	if (r == 0)
		r = plan_resolve(plan, options->limits->max_body, ret, NULL, err);
	if (r == 0)
		ret->replay = has_replay(ret);
	return r;
}

int workflow_load(const char *path, const struct workflow_options *options, struct workflow *ret, struct err *err)
{
	const char *shown = strcmp(path, "-") != 0 ? path : "<stdin>";
	CLEANUP(buf_release) struct buf text = BUF_INIT;
	CLEANUP(plan_release) struct plan plan = {.file = shown};
	CLEANUP(workflow_release) struct workflow workflow = {0};
	struct workflow_options set = *options;
	bool recorded = false;
	int r;

	set.limits = options->limits ? options->limits : &job_limits_default;
	set.file_factor = options->file_factor > 0 ? options->file_factor : 0.001;
	r = read_file(path, shown, &text, err);
	if (r == 0)
		r = wfformat_read(&text, &set, &plan, &workflow, &recorded, err);
	if (r == 0 && !recorded)
		r = load_yaml(&text, &set, &plan, &workflow, err);
	if (r < 0)
		return r;
	name_workflow(path, &workflow);
	digest(&text, &set, recorded, workflow.digest);
	*ret = workflow;
	workflow = (struct workflow){0};
	return 0;
}

void workflow_release(struct workflow *workflow)
{
	for (size_t i = 0; i < workflow->count; i++) {
		free(workflow->jobs[i].name);
		free(workflow->jobs[i].after);
		free(workflow->jobs[i].fields);
	}
	for (size_t i = 0; i < workflow->file_count; i++)
		free(workflow->files[i].name);
	free(workflow->jobs);
	free(workflow->files);
	free(workflow->name);
	*workflow = (struct workflow){0};
}
