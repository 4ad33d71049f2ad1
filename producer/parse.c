/* Errors are ours, not argp's: one line, with the option that was perhaps meant. argp does the options themselves and
 * --help. */
#include "parse.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/secret.h"
#include "commands.h"
#include "settings.h"

enum {
	OPT_HELP = 'h',
	OPT_AMQP = 0x2000,
	OPT_REDIS,
	OPT_PREFIX,
	OPT_TLS_CA,
	OPT_TLS_CERT,
	OPT_TLS_KEY,
	OPT_CONFIG,
	OPT_SIGNING_KEYS
};

static const struct argp_option common_options[] = {
	{0, 0, 0, 0, "Services (also FLOTILLA_AMQP_URL, FLOTILLA_TLS_CA and so on):", 10},
	{"amqp", OPT_AMQP, "URL", 0, "RabbitMQ: amqp:// or amqps://user:password@host:port/vhost", 10},
	{"redis", OPT_REDIS, "URL", 0, "Redis: redis:// or rediss://host:port/db, or unix://path", 10},
	{"prefix", OPT_PREFIX, "NAME", 0, "the fleet's prefix", 10},
	{"tls-ca", OPT_TLS_CA, "FILE", 0, "PEM: whom to trust with amqps and rediss [the system's CAs]", 10},
	{"tls-cert", OPT_TLS_CERT, "FILE", 0, "PEM: the certificate to show to servers", 10},
	{"tls-key", OPT_TLS_KEY, "FILE", 0, "PEM: its key [the same file]", 10},
	{"signing-keys", OPT_SIGNING_KEYS, "FILE", 0, "publish signs with the first of these keys", 10},
	{"config", OPT_CONFIG, "FILE", 0, "a YAML file with these settings", 10},
	{"help", OPT_HELP, 0, 0, "print this help", -1},
	{0},
};

struct parse {
	struct app *app;
	struct config_item *items;
	void *options;
	struct err *err;
	const struct argp *argp;
	char *program;
	bool failed;
	int stopped; /* where in argv, at something that is no option */
	int at;      /* the sub-command, in parse_before */
};

static error_t fail(struct parse *parse)
{
	parse->failed = true;
	return EINVAL;
}

static void give_help(const struct parse *parse)
{
	argp_help(parse->argp, stdout, ARGP_HELP_LONG | ARGP_HELP_USAGE | ARGP_HELP_DOC, parse->program);
	exit(EXIT_OK);
}

static error_t parse_common(int key, char *value, struct argp_state *state)
{
	/* in the order of config_services_items */
	static const char *const names[] = {"--amqp", "--redis", "--prefix", "--tls-ca", "--tls-cert", "--tls-key"};
	struct parse *parse = state->input;
	int r = 0;

	switch (key) {
	case OPT_AMQP:
	case OPT_REDIS:
	case OPT_PREFIX:
	case OPT_TLS_CA:
	case OPT_TLS_CERT:
	case OPT_TLS_KEY:
		r = config_set(&parse->items[key - OPT_AMQP], value, names[key - OPT_AMQP], parse->err);
		break;
	case OPT_SIGNING_KEYS:
		r = config_set(config_find(parse->items, SETTINGS_COUNT, "signing_keys"), value, "--signing-keys",
			       parse->err);
		break;
	case OPT_HELP: give_help(parse); break;
	case OPT_CONFIG: parse->app->config_file = value; break;
	default: return ARGP_ERR_UNKNOWN;
	}
	if (key == OPT_AMQP || key == OPT_REDIS)
		secret_hide(value);
	return r < 0 ? fail(parse) : 0;
}

static const struct argp common_argp = {.options = common_options, .parser = parse_common};
static const struct argp_child children[] = {{&common_argp, 0, NULL, 0}, {0}};

static const struct argp_option *option_of(const struct argp_option *options, int key)
{
	for (; options && (options->name || options->key || options->doc); options++)
		if (options->key == key && options->name)
			return options;
	return NULL;
}

static error_t take_option(struct parse *parse, int key, const char *value)
{
	const struct command *command = parse->app->command;
	const struct argp_option *option = option_of(command->options, key);

	if (!option)
		return ARGP_ERR_UNKNOWN;
	if (command->take(parse->options, key, value, parse->err) == 0)
		return 0;
	err_prefix(parse->err, "--%s", option->name);
	return fail(parse);
}

static error_t parse_own(int key, char *value, struct argp_state *state)
{
	struct parse *parse = state->input;
	struct app *app = parse->app;

	if (key == ARGP_KEY_INIT)
		state->child_inputs[0] = parse;
	if (key == ARGP_KEY_ERROR)
		parse->stopped = state->next;
	if (key == ARGP_KEY_ARG) {
		app->args = xrealloc(app->args, (app->arg_count + 1) * sizeof *app->args);
		app->args[app->arg_count++] = value;
		return 0;
	}
	return take_option(parse, key, value);
}

/* The long names of all options. */
static size_t option_names(const struct argp_option *options, const char **names, size_t count, size_t max)
{
	for (; options && (options->name || options->key || options->doc); options++)
		if (options->name && count < max)
			names[count++] = options->name;
	return count;
}

static int bad_option(const char *program, const struct argp_option *options, const char *text, struct err *err)
{
	CLEANUP(freep) char *name = xmemdup0(text, strcspn(text, "="));
	const char *names[64], *near;
	size_t count = option_names(options, names, 0, 64);

	count = option_names(common_options, names, count, 64);
	for (size_t i = 0; i < count; i++)
		if (strncmp(name, "--", 2) == 0 && strcmp(name + 2, names[i]) == 0) {
			if (strchr(text, '='))
				return err_set(err, ERR_USAGE, "--%s takes no value; see %s --help", names[i], program);
			return err_set(err, ERR_USAGE, "--%s needs a value; see %s --help", names[i], program);
		}
	near = nearest_word(name + strspn(name, "-"), names, count);
	if (near)
		return err_set(err, ERR_USAGE, "there is no option %s; did you mean --%s? See %s --help", name, near,
			       program);
	return err_set(err, ERR_USAGE, "there is no option %s; see %s --help", name, program);
}

/* Where argp stopped at something that is no option. */
static const char *culprit(int argc, char **argv, int next)
{
	if (next > 1 && argv[next - 1][0] == '-')
		return argv[next - 1];
	return next < argc ? argv[next] : argv[argc - 1];
}

static int count_args(const struct app *app, const char *program, struct err *err)
{
	const struct command *command = app->command;

	if (app->arg_count < command->min_args)
		return err_set(err, ERR_USAGE, "too few arguments: %s %s; see %s --help", program, command->args,
			       program);
	if (app->arg_count > command->max_args)
		return err_set(err, ERR_USAGE, "one argument too many: '%s'; usage: %s %s",
			       app->args[command->max_args], program, command->args);
	return 0;
}

int parse_command(int argc, char **argv, struct app *app, struct config_item *items, void *options, struct err *err)
{
	const struct command *command = app->command;
	CLEANUP(buf_release) struct buf program = BUF_INIT, doc = BUF_INIT;
	struct parse parse = {.app = app, .items = items, .options = options, .err = err};
	struct argp argp = {command->options, parse_own, command->args, NULL, children, NULL, NULL};
	int end = argc;
	error_t r;

	buf_addf(&program, "flotilla %s", command->name);
	buf_addf(&doc, "%s%s%s", command->help, command->more ? "\v" : "", command->more ? command->more : "");
	argp.doc = doc.data;
	parse.argp = &argp;
	parse.program = program.data;
	argv[0] = program.data;
	for (int i = 1; i < argc && command->rest && end == argc; i++)
		if (strcmp(argv[i], "--") == 0)
			end = i;
	if (end < argc) {
		app->rest = argv + end + 1;
		app->rest_count = (size_t)(argc - end - 1);
		argv[end] = NULL; /* argp wants its end as main has it */
	}
	r = argp_parse(&argp, end, argv, ARGP_NO_ERRS | ARGP_NO_HELP, NULL, &parse);
	if (parse.failed)
		return err->code;
	if (r)
		return bad_option(program.data, command->options, culprit(end, argv, parse.stopped), err);
	return count_args(app, program.data, err);
}

/* --- before the sub-command --- */

static error_t parse_first(int key, char *value, struct argp_state *state)
{
	struct parse *parse = state->input;

	(void)value;
	if (key == ARGP_KEY_INIT)
		state->child_inputs[0] = parse;
	if (key == ARGP_KEY_ERROR)
		parse->stopped = state->next;
	if (key != ARGP_KEY_ARG)
		return ARGP_ERR_UNKNOWN;
	parse->at = state->next - 1;
	state->next = state->argc;
	return 0;
}

static char *all_commands(void)
{
	struct buf doc = BUF_INIT;

	buf_adds(&doc, "Jobs for a fleet of workers, over RabbitMQ and Redis.\vCommands:\n");
	for (size_t i = 0; i < command_count; i++)
		buf_addf(&doc, "  %-9s %s\n", commands[i]->name, commands[i]->help);
	buf_adds(&doc, "\n`flotilla COMMAND --help` says more.");
	return buf_detach(&doc);
}

int parse_before(int argc, char **argv, struct app *app, struct config_item *items, struct err *err)
{
	CLEANUP(freep) char *doc = all_commands();
	char name[] = "flotilla", *first = argc > 0 ? argv[0] : NULL;
	struct parse parse = {.app = app, .items = items, .err = err, .program = name, .at = argc};
	struct argp argp = {NULL, parse_first, "COMMAND [ARGUMENT...]", doc, children, NULL, NULL};
	error_t r;

	parse.argp = &argp;
	if (argc > 0)
		argv[0] = name;
	r = argp_parse(&argp, argc, argv, ARGP_NO_ERRS | ARGP_NO_HELP | ARGP_IN_ORDER, NULL, &parse);
	if (argc > 0)
		argv[0] = first;
	if (parse.failed)
		return err->code;
	if (r)
		return bad_option("flotilla", NULL, culprit(argc, argv, parse.stopped), err);
	return parse.at;
}
