/* The handlers file:
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
#include "base/duration.h"
#include "base/yaml.h"
#include "exec/internal.h"
#include "exec/process.h"
#include "exec/runner.h"

#define MAX_PROCESSES 1024
#define MAX_RETRIES 1000
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

static int scalar(const struct yaml_node *node, const char *what, struct err *err)
{
	if (node->kind != YAML_SCALAR || (!node->quoted && node->len == 0))
		return yaml_error(err, node, "%s must be text, not %s", what, yaml_describe(node));
	if (memchr(node->text, '\0', node->len))
		return yaml_error(err, node, "%s holds a NUL character", what);
	return 0;
}

/* A list of texts, as it is; the caller's to process_argv_free(). */
static int take_list(const struct yaml_node *node, const char *what, char ***ret, struct err *err)
{
	char **list;

	if (node->kind != YAML_SEQ || node->count == 0)
		return yaml_error(err, node, "%s must be a list of texts, such as [\"./program\", \"argument\"]", what);
	list = xcalloc(node->count + 1, sizeof *list);
	for (size_t i = 0; i < node->count; i++) {
		int r = scalar(node->items[i], what, err);
		if (r < 0) {
			process_argv_free(list);
			return r;
		}
		list[i] = xmemdup0(node->items[i]->text, node->items[i]->len);
	}
	*ret = list;
	return 0;
}

static int take_command(struct handler *handler, const struct yaml_node *node, struct err *err)
{
	int r = take_list(node, "command", &handler->argv, err);

	handler->kind = &kind_command;
	for (size_t i = 0; r == 0 && handler->argv[i]; i++) {
		struct buf path = BUF_INIT;
		struct err cause;

		if (placeholders_check(handler->argv[i], &cause) < 0)
			return yaml_error(err, node->items[i], "%s", cause.text);
		if (strchr(handler->argv[i], '{') || *handler->argv[i] == '/' || !*handler->argv[i])
			continue;
		buf_addf(&path, "%s/%s", handler->base, handler->argv[i]);
		/* The program is looked for when it is started: it may be installed later. */
		if (i > 0 && access(path.data, F_OK) == 0) {
			free(handler->argv[i]);
			handler->argv[i] = buf_detach(&path);
		}
		buf_release(&path);
	}
	return r;
}

static int take_runner(struct handler *handler, const struct yaml_node *node, struct err *err)
{
	handler->kind = &kind_runner;
	return take_list(node, "runner", &handler->argv, err);
}

static int take_plugin(struct handler *handler, const struct yaml_node *node, struct err *err)
{
	struct buf path = BUF_INIT;
	int r = scalar(node, "plugin", err);

	if (r < 0)
		return r;
	if (*node->text != '/')
		buf_addf(&path, "%s/", handler->base);
	buf_adds(&path, node->text);
	handler->kind = &kind_runner;
	handler->argv = xcalloc(3, sizeof *handler->argv);
	handler->argv[0] = runner_program();
	handler->argv[1] = buf_detach(&path);
	if (access(handler->argv[1], R_OK) < 0)
		return yaml_error(err, node, "there is no file %s to load", handler->argv[1]);
	return 0;
}

static int take_timeout(struct handler *handler, const struct yaml_node *node, struct err *err)
{
	struct err cause;
	int r = scalar(node, "timeout", err);

	if (r == 0 && duration_parse(node->text, &handler->timeout_ms, &cause) < 0)
		r = yaml_error(err, node, "timeout: %s", cause.text);
	if (r == 0 && handler->timeout_ms <= 0)
		r = yaml_error(err, node, "timeout must be longer than nothing; leave it out for none");
	return r;
}

static int take_retries(struct handler *handler, const struct yaml_node *node, struct err *err)
{
	return yaml_int(node, "retries", 0, MAX_RETRIES, &handler->retries, err);
}

static int take_processes(struct handler *handler, const struct yaml_node *node, struct err *err)
{
	int64_t n = 1;
	int r = yaml_int(node, "processes", 1, MAX_PROCESSES, &n, err);
	handler->processes = (int)n;
	return r;
}

static int take_services(struct handler *handler, const struct yaml_node *node, struct err *err)
{
	return yaml_bool(node, "services", &handler->services, err);
}

static int take_env(struct handler *handler, const struct yaml_node *node, struct err *err)
{
	if (node->kind != YAML_SEQ)
		return yaml_error(err, node, "env must be a list of the names that jobs may set");
	if (node->count == 0)
		return 0;
	if (take_list(node, "env", &handler->env, err) < 0)
		return err->code;
	for (size_t i = 0; handler->env[i]; i++) {
		if (!*handler->env[i] || strchr(handler->env[i], '='))
			return yaml_error(err, node->items[i], "env: \"%s\" is no name of a variable", handler->env[i]);
		if (strncmp(handler->env[i], "FLOTILLA_", 9) == 0)
			return yaml_error(err, node->items[i], "env: names that begin with FLOTILLA_ are the fleet's");
	}
	return 0;
}

static const struct key {
	const char *name;
	int (*take)(struct handler *handler, const struct yaml_node *node, struct err *err);
	bool is_way;      /* to run: one of them, and only one */
	const char *only; /* with this way; NULL: any */
} keys[] = {
	{"command", take_command, true, NULL},    {"runner", take_runner, true, NULL},
	{"plugin", take_plugin, true, NULL},      {"timeout", take_timeout, false, NULL},
	{"retries", take_retries, false, NULL},   {"processes", take_processes, false, "runner"},
	{"services", take_services, false, NULL}, {"env", take_env, false, "command"},
};

static const struct key *find_key(const char *name)
{
	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
		if (strcmp(keys[i].name, name) == 0)
			return &keys[i];
	return NULL;
}

static int take_key(struct handler *handler, const struct yaml_node *node, struct err *err)
{
	const struct key *key = find_key(node->key);

	if (!key)
		return yaml_error(err, node,
				  "the handler %s: there is no \"%s\"; there are command, runner, plugin, timeout, "
				  "retries, processes, services and env",
				  handler->name, node->key);
	if (key->is_way && handler->kind)
		return yaml_error(err, node, "the handler %s: command, runner and plugin exclude each other",
				  handler->name);
	return key->take(handler, node, err);
}

static int check_whole(const struct handler *handler, const struct yaml_node *node, struct err *err)
{
	if (!handler->kind)
		return yaml_error(err, node, "the handler %s needs one of command, runner and plugin", handler->name);
	for (size_t i = 0; i < node->count; i++) {
		const struct key *key = find_key(node->items[i]->key);
		if (key->only && strcmp(key->only, handler->kind->name) != 0)
			return yaml_error(err, node->items[i], "the handler %s: %s goes with a %s only", handler->name,
					  key->name, key->only);
	}
	return 0;
}

static int check_name(const struct handlers *handlers, const struct yaml_node *node, struct err *err)
{
	if (!*node->key || strlen(node->key) > MAX_NAME || strchr(node->key, ','))
		return yaml_error(err, node, "a handler's name has 1 to %d characters and no comma", MAX_NAME);
	/* The built-ins stand first, sorted; the file's own names cannot repeat (yaml.h). */
	for (size_t i = 0; i < sizeof built_in / sizeof *built_in; i++)
		if (strcmp(handlers->items[i].name, node->key) == 0)
			return yaml_error(err, node, "%s is built in: give the handler another name", node->key);
	return 0;
}

static int take_handler(struct handlers *handlers, const char *base, const struct yaml_node *node, struct err *err)
{
	struct handler *handler;
	int r = check_name(handlers, node, err);

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
	for (size_t i = 0; i < node->count && r == 0; i++)
		r = take_key(handler, node->items[i], err);
	return r < 0 ? r : check_whole(handler, node, err);
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
