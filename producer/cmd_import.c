#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "commands.h"
#include "workflow/workflow.h"

enum { OPT_TO = 0x1000, OPT_REPLAY, OPT_FACTOR };

static const struct argp_option options_[] = {
	{"to", OPT_TO, "FORMAT", 0, "yaml: a workflow file for flotilla run", 0},
	{"replay", OPT_REPLAY, "SCALE", 0, "recorded run time times SCALE (default: 1)", 0},
	{"file-factor", OPT_FACTOR, "F", 0, "recorded file sizes times F (default: 0.001)", 0},
	{0},
};

struct options {
	const char *to;
	double replay, factor;
};

static int take(void *data, int key, const char *value, struct err *err)
{
	struct options *options = data;

	switch (key) {
	case OPT_REPLAY: return take_positive(value, &options->replay, err);
	case OPT_FACTOR: return take_positive(value, &options->factor, err);
	default: options->to = value; break;
	}
	if (strcmp(value, "yaml") == 0)
		return 0;
	return err_set(err, ERR_USAGE, "'%.40s' is no format that can be written; it is yaml", value);
}

static int exec(struct app *app, void *data, struct err *err)
{
	const struct options *options = data;
	const struct workflow_options reading = {.replay = options->replay > 0 ? options->replay : 1,
						 .file_factor = options->factor,
						 .limits = &app->limits};
	CLEANUP(workflow_release) struct workflow workflow = {0};
	CLEANUP(buf_release) struct buf text = BUF_INIT;

	if (!options->to)
		return err_set(err, ERR_USAGE, "--to is missing; it is --to yaml");
	if (workflow_load(app->args[0], &reading, &workflow, err) < 0) {
		if (err->code == ERR_USAGE) /* a scale is for recordings */
			return err_set(err, ERR_INPUT,
				       "%s: is no recorded workflow (WfFormat, .json); flotilla run takes a workflow "
				       "file as it is",
				       app->args[0]);
		return err->code == ERR_NOT_FOUND ? (err->code = ERR_INPUT) : err->code;
	}
	if (workflow_yaml(&workflow, &text, err) < 0)
		return err->code;
	fwrite(text.data, 1, text.len, stdout);
	return EXIT_OK;
}

const struct command command_import = {
	.name = "import",
	.args = "FILE",
	.help = "turn a recorded workflow (WfFormat 1.5, JSON) into a workflow file",
	.options = options_,
	.take = take,
	.options_size = sizeof(struct options),
	.min_args = 1,
	.max_args = 1,
	.exec = exec,
};
