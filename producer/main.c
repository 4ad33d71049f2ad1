/* flotilla: settings, then the sub-command. What goes wrong is printed here, and only here. */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "commands.h"
#include "job/quote.h"
#include "parse.h"
#include "settings.h"

static int unknown_command(const char *name, struct err *err)
{
	static const char *const names[] = {
#define X(word) #word,
		COMMAND_MAP(X)
#undef X
	};
	const char *near = nearest_word(name, names, sizeof names / sizeof *names);
	char shown[QUOTE_TEXT];

	quote_text(shown, name, strlen(name));
	if (near)
		return err_set(err, ERR_USAGE, "there is no command '%s'; did you mean '%s'? See flotilla --help",
			       shown, near);
	return err_set(err, ERR_USAGE, "there is no command '%s'; see flotilla --help", shown);
}

static int run_command(int argc, char **argv, struct app *app, struct config_item *items, struct err *err)
{
	const struct command *command = app->command;
	CLEANUP(freep) void *options = xcalloc(1, command->options_size ? command->options_size : 1);
	int r = parse_command(argc, argv, app, items, options, err);

	if (r == 0)
		r = settings_load(app, items, err);
	if (r == 0)
		r = command->exec(app, options, err);
	if (command->release)
		command->release(options);
	return r;
}

static int dispatch(int argc, char **argv, struct app *app, struct config_item *items, struct err *err)
{
	char help[] = "--help", *words[] = {NULL, help, NULL};
	int at = parse_before(argc, argv, app, items, err);

	if (at < 0)
		return at;
	if (at == argc)
		return err_set(err, ERR_USAGE, "a command is missing; see flotilla --help");
	argc -= at;
	argv += at;
	if (strcmp(argv[0], "help") == 0) { /* what people type */
		words[0] = argv[argc > 1];
		if (argc == 1)
			return parse_before(2, words, app, items, err);
		argv = words;
		argc = 2;
	}
	app->command = command_find(argv[0]);
	if (!app->command)
		return unknown_command(argv[0], err);
	return run_command(argc, argv, app, items, err);
}

/* A reader of the output that has gone ends the process, as of any filter. A server that has gone does not: what was
 * asked of it is asked again on the next connection. */
static void on_pipe(int number)
{
	struct pollfd output = {.fd = STDOUT_FILENO};

	if (poll(&output, 1, 0) > 0 && output.revents & (POLLERR | POLLHUP)) {
		signal(number, SIG_DFL);
		raise(number);
	}
}

int main(int argc, char **argv)
{
	struct config_item items[SETTINGS_COUNT];
	bool abandoned = false;
	struct app app = {.abandoned = &abandoned};
	struct err err = {0};
	int r;

	signal(SIGPIPE, on_pipe);
	log_setup(LOG_LEVEL_WARN, false, NULL);
	settings_items(&app, items);
	r = dispatch(argc, argv, &app, items, &err);
	if (r < 0) {
		fflush(stdout);
		fprintf(stderr, "flotilla%s%s: %s\n", app.command ? " " : "", app.command ? app.command->name : "",
			err.text);
		r = err_exit_code(r);
	}
	if (fflush(stdout) != 0 || ferror(stdout)) {
		fprintf(stderr, "flotilla: standard output cannot be written: what was to stand there is lost\n");
		r = r ? r : 1;
	}
	config_release(items, SETTINGS_COUNT);
	free(app.args);
	if (abandoned) { /* what waited for those answers cannot be ended in order any more: the process' end has to do
			  */
		fflush(NULL);
		_exit(r);
	}
	return r;
}
