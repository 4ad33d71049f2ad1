/* The command line of a sub-command, by argp. */
#ifndef FLOTILLA_PRODUCER_PARSE_H
#define FLOTILLA_PRODUCER_PARSE_H

#include "app.h"

/* Reads the options that may stand before the sub-command. Returns the index in argv of the sub-command, argc where
 * there is none, or ERR_USAGE. --help prints and exits. */
int parse_before(int argc, char **argv, struct app *app, struct config_item *items, struct err *err);

/* Reads the command line from the sub-command on (argv[0] is its name): options into `options`, the rest into `app`.
 * ERR_USAGE, with a hint. --help prints and exits. */
int parse_command(int argc, char **argv, struct app *app, struct config_item *items, void *options, struct err *err);

#endif
