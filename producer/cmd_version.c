#include <stdio.h>

#include "commands.h"

static int exec(struct app *app, void *options, struct err *err)
{
	(void)app;
	(void)options;
	(void)err;
	printf("flotilla %s\n", FLOTILLA_VERSION);
	return EXIT_OK;
}

const struct command command_version = {
	.name = "version",
	.args = "",
	.help = "print the version",
	.exec = exec,
};
