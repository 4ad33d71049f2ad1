/* What every sub-command of `flotilla` is given, and what a sub-command is.
 *
 * To add one: a file cmd_NAME.c with its `const struct command`, and a line in COMMAND_MAP (commands.h).
 */
#ifndef FLOTILLA_PRODUCER_APP_H
#define FLOTILLA_PRODUCER_APP_H

#include <argp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/config.h"
#include "base/err.h"
#include "job/job.h"

struct app;

/* The exit codes that are no errors of ours (contract, section 6). */
enum { EXIT_OK = 0, EXIT_NOT_SUCCEEDED = 1 };

struct command {
	const char *name;
	const char *args; /* as --help shows them */
	const char *help; /* one line */
	const char *more; /* what --help says below the options; NULL: nothing */

	const struct argp_option *options; /* ends with {0}; NULL: none */
	/* Takes one option into the command's own struct (zeroed, of options_size bytes); `value` is borrowed for ever.
	 * An error does not name the option. */
	int (*take)(void *options, int key, const char *value, struct err *err);
	size_t options_size;
	void (*release)(void *options); /* NULL: holds nothing */

	size_t min_args, max_args;
	bool rest; /* `-- ARGV...` is taken, into app.rest */

	/* Does it. An exit code, or a negative error with `err` filled, which the caller prints. */
	int (*exec)(struct app *app, void *options, struct err *err);
};

#define APP_PRIORITIES 16

struct app {
	const struct command *command;
	struct config_services services;
	char *priorities; /* highest first, with commas */
	int64_t max_body;
	char *signing_keys;       /* a file; NULL: none */
	struct job_limits limits; /* made of the settings */
	const char *priority_names[APP_PRIORITIES];
	const char *default_priority;
	const char *config_file; /* --config; NULL: none */
	const char **args;
	size_t arg_count;
	char **rest; /* what stood behind `--` */
	size_t rest_count;
	bool *abandoned; /* set where a session was closed over calls that were never answered */
};

/* --- values of options ---------------------------------------------------------------------------------------------
 */

/* Texts that are borrowed, such as those of an option that may be repeated. */
struct texts {
	const char **at;
	size_t count;
};
void texts_add(struct texts *texts, const char *text);
void texts_release(struct texts *texts);

/* A whole number within [min, max]; a duration in ms; a real number above zero. ERR_USAGE. */
int take_int(const char *text, int64_t min, int64_t max, int64_t *ret, struct err *err);
int take_duration(const char *text, int64_t *ret_ms, struct err *err);
int take_positive(const char *text, double *ret, struct err *err);
/* command.take where the only option is a flag: the options are one bool. */
int take_flag(void *options, int key, const char *value, struct err *err);
/* Whether text can be an id (of a job or a run), a pool. ERR_USAGE. */
int check_id(const char *text, struct err *err);
int check_pool(const char *text, struct err *err);
/* All of app.args as ids of jobs. */
int check_ids(const struct app *app, struct err *err);

#define DEFAULT_POOL "default"

#endif
