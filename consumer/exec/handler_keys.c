/* What stands in a handler of the handlers file: to add a key, add a function and a row of `keys`. */
#include "exec/handler_keys.h"

#include <string.h>
#include <unistd.h>

#include "base/duration.h"
#include "exec/command_line.h"
#include "exec/confine_keys.h"
#include "exec/process.h"
#include "exec/runner.h"

#define MAX_PROCESSES 1024
#define MAX_RETRIES 1000

/* A list of texts, as it is; the caller's to process_argv_free(). */
static int take_list(const struct yaml_node *node, const char *what, char ***ret, struct err *err)
{
	char **list;

	if (node->kind != YAML_SEQ || node->count == 0)
		return yaml_error(err, node, "%s must be a list of texts, such as [\"./program\", \"argument\"]", what);
	list = xcalloc(node->count + 1, sizeof *list);
	for (size_t i = 0; i < node->count; i++) {
		int r = yaml_text(node->items[i], what, err);
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
	int r = yaml_text(node, "plugin", err);

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
	int r = yaml_text(node, "timeout", err);

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

/* By these loaders, shells, interpreters and what is often called by others find what they run. All that begins with a
 * name of the second list is of that kind. */
static bool loads_code(const char *name)
{
	/* clang-format off */
	static const char *const names[] = {
		"PATH", "IFS", "ENV", "BASH_ENV", "BASHOPTS", "SHELLOPTS", "PROMPT_COMMAND", "PS4", "CDPATH",
		"ZDOTDIR", "GCONV_PATH", "LOCPATH", "GLIBC_TUNABLES", "PYTHONPATH", "PYTHONHOME",
		"PYTHONSTARTUP", "PYTHONUSERBASE", "PYTHONPLATLIBDIR", "PYTHONPYCACHEPREFIX",
		"PYTHONWARNINGS", "PYTHONBREAKPOINT", "PYTHONINSPECT", "PYTHONEXECUTABLE", "PERLLIB",
		"PERL5LIB", "PERL5OPT", "PERL5DB", "RUBYLIB", "RUBYOPT", "GEM_HOME", "GEM_PATH", "NODE_PATH",
		"NODE_OPTIONS", "NODE_REPL_EXTERNAL_MODULE", "CLASSPATH", "JAVA_TOOL_OPTIONS",
		"JDK_JAVA_OPTIONS", "_JAVA_OPTIONS", "PHPRC", "PHP_INI_SCAN_DIR", "R_LIBS", "R_LIBS_USER",
		"R_PROFILE", "R_PROFILE_USER", "R_ENVIRON", "R_ENVIRON_USER", "TCLLIBPATH", "OPENSSL_CONF",
		"OPENSSL_ENGINES", "OPENSSL_MODULES", "EDITOR", "VISUAL", "PAGER", "MANPAGER", "LESSOPEN",
		"LESSCLOSE", "TAR_OPTIONS", "RSYNC_RSH", "GIT_SSH", "GIT_SSH_COMMAND", "GIT_EDITOR",
		"GIT_PAGER", "GIT_ASKPASS", "GIT_EXTERNAL_DIFF", "GIT_PROXY_COMMAND", "GIT_EXEC_PATH",
		"GIT_TEMPLATE_DIR", "GIT_DIR",
	};
	/* clang-format on */
	static const char *const beginnings[] = {"LD_",       "BASH_FUNC_", "LUA_PATH",
						 "LUA_CPATH", "LUA_INIT",   "GIT_CONFIG"};

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (strcmp(name, names[i]) == 0)
			return true;
	for (size_t i = 0; i < sizeof beginnings / sizeof *beginnings; i++)
		if (strncmp(name, beginnings[i], strlen(beginnings[i])) == 0)
			return true;
	return false;
}

static int take_options(struct handler *handler, const struct yaml_node *node, struct err *err)
{
	if (node->kind != YAML_SCALAR || strcmp(node->text, "allowed") != 0)
		return yaml_error(err, node, "options can only be \"allowed\"; leave it out so that they are not");
	handler->options = true;
	return 0;
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
		if (loads_code(handler->env[i]))
			return yaml_error(err, node->items[i],
					  "env: with %s a job could make the program run other code", handler->env[i]);
	}
	return 0;
}

static const struct key {
	const char *name;
	int (*take)(struct handler *handler, const struct yaml_node *node, struct err *err);
	bool is_way;      /* to run: one of them, and only one */
	const char *only; /* with this way; NULL: any */
} keys[] = {
	{"command", take_command, true, NULL},        {"runner", take_runner, true, NULL},
	{"plugin", take_plugin, true, NULL},          {"timeout", take_timeout, false, NULL},
	{"retries", take_retries, false, NULL},       {"processes", take_processes, false, "runner"},
	{"services", take_services, false, NULL},     {"env", take_env, false, "command"},
	{"options", take_options, false, "command"},  {"user", confine_take_user, false, NULL},
	{"limits", confine_take_limits, false, NULL}, {"isolate", confine_take_isolate, false, NULL},
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
				  "retries, processes, services, env, options, user, limits and isolate",
				  handler->name, node->key);
	if (key->is_way && handler->kind)
		return yaml_error(err, node, "the handler %s: command, runner and plugin exclude each other",
				  handler->name);
	return key->take(handler, node, err);
}

static int check_command(const struct handler *handler, const struct yaml_node *node, struct err *err)
{
	struct err cause;
	size_t at;

	if (command_line_check(handler->argv, handler->options, &at, &cause) < 0)
		return yaml_error(err, node->items[at], "%s", cause.text);
	return 0;
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
	if (confine_check_paths(handler, yaml_get(node, "isolate"), err) < 0)
		return err->code;
	return handler->kind == &kind_command ? check_command(handler, yaml_get(node, "command"), err) : 0;
}

int handler_take_more(struct handler *handler, const struct yaml_node *node, struct err *err)
{
	int r = 0;

	for (size_t i = 0; i < node->count && r == 0; i++) {
		const struct key *key = find_key(node->items[i]->key);
		if (!key || key->is_way || key->only)
			return yaml_error(err, node->items[i],
					  "%s is built in: it can have user, limits, isolate, timeout, retries and "
					  "services here, not \"%s\"",
					  handler->name, node->items[i]->key);
		r = key->take(handler, node->items[i], err);
	}
	return r;
}

int handler_take(struct handler *handler, const struct yaml_node *node, struct err *err)
{
	int r = 0;

	for (size_t i = 0; i < node->count && r == 0; i++)
		r = take_key(handler, node->items[i], err);
	return r < 0 ? r : check_whole(handler, node, err);
}
