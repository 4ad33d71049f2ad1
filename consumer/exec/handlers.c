/* The handlers file (handler_keys.c has what stands in a handler):
 *
 *	handlers:
 *	  NAME: { command: [PROGRAM, ARGUMENT...], timeout: 60s, retries: 2, env: [NAME...], services: true }
 *	  NAME: { runner: [PROGRAM, ARGUMENT...], processes: 2, timeout: ..., retries: ..., services: ... }
 *	  NAME: { plugin: FILE.so, processes: 2, timeout: ..., retries: ..., services: ... }
 *
 * Names of files are from where the handlers file is. A program with a slash is one; so is any argument of a command
 * that exists there as a file when the worker starts (["python3", "resize.py"]). Runners have the file's directory as
 * their own, so theirs stand as they are.
 */
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/yaml.h"
#include "exec/confine.h"
#include "exec/handler_keys.h"
#include "exec/internal.h"
#include "exec/process.h"
#include "exec/runner.h"

#define MAX_NAME 200

static const struct handler built_in[] = {
	{.name = (char *)"exec", .kind = &kind_exec, .timeout_ms = -1, .retries = -1, .any_env = true},
	{.name = (char *)"fail", .kind = &kind_fail, .timeout_ms = -1, .retries = -1},
	{.name = (char *)"noop", .kind = &kind_noop, .timeout_ms = -1, .retries = -1},
	{.name = (char *)"replay", .kind = &kind_replay, .timeout_ms = -1, .retries = -1},
	{.name = (char *)"sleep", .kind = &kind_sleep, .timeout_ms = -1, .retries = -1},
};

static void handler_release(struct handler *handler)
{
	free(handler->name);
	free(handler->base);
	process_argv_free(handler->argv);
	process_argv_free(handler->env);
	confinement_free(handler->confinement);
	runners_free(handler->runners);
}

void handlers_release(struct handlers *handlers)
{
	for (size_t i = 0; i < handlers->count; i++)
		handler_release(&handlers->items[i]);
	free(handlers->items);
	*handlers = (struct handlers){0};
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct handler *)a)->name, ((const struct handler *)b)->name);
}

const struct handler *handlers_find(const struct handlers *handlers, const char *name)
{
	struct handler key = {.name = (char *)name};
	return bsearch(&key, handlers->items, handlers->count, sizeof key, by_name);
}

/* The built-ins stand first; the file's own names cannot repeat (yaml.h). */
static struct handler *find_built_in(const struct handlers *handlers, const char *name)
{
	for (size_t i = 0; i < sizeof built_in / sizeof *built_in; i++)
		if (strcmp(handlers->items[i].name, name) == 0)
			return &handlers->items[i];
	return NULL;
}

static int check_name(const struct handlers *handlers, const struct yaml_node *node, struct err *err)
{
	if (!*node->key || strlen(node->key) > MAX_NAME || strchr(node->key, ','))
		return yaml_error(err, node, "a handler's name has 1 to %d characters and no comma", MAX_NAME);
	if (find_built_in(handlers, node->key))
		return yaml_error(err, node, "%s is built in: give the handler another name", node->key);
	return 0;
}

static int take_handler(struct handlers *handlers, const char *base, const struct yaml_node *node, struct err *err)
{
	struct handler *handler = find_built_in(handlers, node->key);
	int r;

	/* exec and replay are processes too, and their limits can be set. */
	if (handler && handler->kind->wants_results && node->kind == YAML_MAP) {
		handler->line = node->key_line;
		return handler_take_more(handler, node, err);
	}
	r = check_name(handlers, node, err);
	if (r < 0)
		return r;
	if (node->kind != YAML_MAP)
		return yaml_error(err, node, "the handler %s must be a map, such as { command: [\"./program\"] }",
				  node->key);
	handler = &handlers->items[handlers->count++];
	*handler = (struct handler){.name = xstrdup(node->key),
				    .base = xstrdup(base),
				    .line = node->key_line,
				    .timeout_ms = -1,
				    .retries = -1,
				    .processes = 1};
	return handler_take(handler, node, err);
}

/* The absolute directory of a file. */
static char *directory_of(const char *file)
{
	char *real = realpath(file, NULL);
	char *slash = real ? strrchr(real, '/') : NULL;

	if (!slash) {
		free(real);
		return xstrdup("/");
	}
	slash[slash == real] = '\0';
	return real;
}

static int take_file(struct handlers *handlers, const char *file, const struct yaml_node *root, struct err *err)
{
	const struct yaml_node *map = yaml_get(root, "handlers");
	CLEANUP(freep) char *base = directory_of(file);
	int r = 0;

	if (!map || map->kind != YAML_MAP)
		return yaml_error(err, map ? map : root,
				  "the file must be a map with the key \"handlers\", a map itself");
	for (size_t i = 0; i < root->count; i++)
		if (root->items[i] != map)
			return yaml_error(err, root->items[i],
					  "there is no \"%s\" in a handlers file; only \"handlers\"",
					  root->items[i]->key);
	handlers->items = xrealloc(handlers->items, (handlers->count + map->count) * sizeof *handlers->items);
	for (size_t i = 0; i < map->count && r == 0; i++)
		r = take_handler(handlers, base, map->items[i], err);
	return r;
}

int handlers_load(struct handlers *ret, const char *file, struct err *err)
{
	CLEANUP(yaml_node_freep) struct yaml_node *root = NULL;
	int r = 0;

	ret->count = sizeof built_in / sizeof *built_in;
	ret->items = xcalloc(ret->count, sizeof *ret->items);
	for (size_t i = 0; i < ret->count; i++) {
		ret->items[i] = built_in[i];
		ret->items[i].name = xstrdup(built_in[i].name);
	}
	if (file)
		r = yaml_load(file, &root, err);
	if (r == 0 && file)
		r = take_file(ret, file, root, err);
	if (r < 0) {
		err->code = ERR_USAGE;
		return ERR_USAGE;
	}
	qsort(ret->items, ret->count, sizeof *ret->items, by_name);
	return 0;
}
