/* The command line of a `command`: what its placeholders bring is data, whoever publishes. Each fills one argument or a
 * part of one, so no value can become a second; and none can become
 *
 *	the program            no placeholder may stand in it
 *	code                   none of the job's may stand in a script: what follows `sh -c`, `python3 -c`, `perl -e`
 *	the name of an option  none may follow dashes alone
 *	an option              what begins with a placeholder must not begin with a dash once it is filled in, unless
 *	                       a `--` stands before it, with nothing but such arguments between
 *
 * The first three are checked when the file is read, the last for each job. `options: allowed` waives the last two. */
#include "exec/command_line.h"

#include <string.h>

#include "base/cleanup.h"

/* The kernel's MAX_ARG_STRLEN: with one that is longer nothing starts. */
#define ARGUMENT_MAX ((size_t)128 * 1024 - 1)

/* Those that take a program as an argument, after an option with one of these letters. */
static const struct interpreter {
	const char *name; /* "python" is python3 and python3.11 too */
	const char *letters;
} interpreters[] = {
	{"sh", "c"},     {"ash", "c"},   {"bash", "c"},   {"csh", "c"},     {"dash", "c"},    {"fish", "c"},
	{"ksh", "c"},    {"mksh", "c"},  {"rbash", "c"},  {"tcsh", "c"},    {"zsh", "c"},     {"python", "c"},
	{"pypy", "c"},   {"perl", "eE"}, {"ruby", "e"},   {"node", "ep"},   {"nodejs", "ep"}, {"lua", "e"},
	{"php", "rBRE"}, {"su", "c"},    {"env", "S"},    {"busybox", "c"}, {"pwsh", "cC"},   {"Rscript", "e"},
	{"julia", "eE"}, {"bun", "ep"},  {"expect", "c"}, {"guile", "c"},
};

static const struct interpreter *interpreter(const char *program)
{
	const char *slash = strrchr(program, '/');
	const char *name = slash ? slash + 1 : program;

	for (size_t i = 0; i < sizeof interpreters / sizeof *interpreters; i++) {
		size_t len = strlen(interpreters[i].name);
		if (strncmp(name, interpreters[i].name, len) == 0 &&
		    strspn(name + len, "0123456789.") == strlen(name + len))
			return &interpreters[i];
	}
	return NULL;
}

/* Whether what follows this option is a script: -c, -ec, --command, --eval. */
static bool takes_script(const struct interpreter *which, const char *option)
{
	if (option[0] != '-' || !option[1])
		return false;
	if (option[1] == '-')
		return strncmp(option, "--command", 9) == 0 || strncmp(option, "--eval", 6) == 0 ||
		       strncmp(option, "--init-command", 14) == 0 || strncmp(option, "--split-string", 14) == 0;
	return strpbrk(option + 1, which->letters) != NULL;
}

/* A script in a file: the options behind it are its own. */
static bool is_file_name(const char *text) { return text[0] != '-' && strpbrk(text, "./") != NULL; }

/* The interpreter may stand behind others (env, nice, timeout): so any argument may be its name. */
static int check_scripts(char *const *argv, size_t *ret_at, struct err *err)
{
	const struct interpreter *which = NULL;
	bool script = false;

	for (size_t i = 0; argv[i]; i++) {
		bool option = which && takes_script(which, argv[i]);

		/* The script itself, or in one with its option: -cSCRIPT, --eval=SCRIPT. */
		if ((script || option) && placeholders_of_publisher(argv[i])) {
			*ret_at = i;
			return err_set(
				err, ERR_INPUT,
				"a script with {args...}, {id} or {run} in it would run what jobs bring, or take it "
				"for an option: leave it out of the "
				"script and give it as an argument behind it, such as [\"sh\", \"-c\", \"wc -l < "
				"\\\"$1\\\"\", \"sh\", \"{args.file}\"]");
		}
		/* Other options may stand between: sh -c -e SCRIPT. */
		script = option || (script && argv[i][0] == '-');
		if (interpreter(argv[i]))
			which = interpreter(argv[i]);
		else if (which && i > 0 && argv[i - 1][0] != '-' && is_file_name(argv[i]))
			which = NULL;
	}
	return 0;
}

/* Only dashes, then a placeholder: the value would name the option. */
static bool names_option(const char *text)
{
	size_t dashes = strspn(text, "-");
	return dashes > 0 && placeholder_leads(text + dashes);
}

int command_line_check(char *const *argv, bool options, size_t *ret_at, struct err *err)
{
	for (size_t i = 0; argv[i]; i++) {
		*ret_at = i;
		if (placeholders_check(argv[i], err) < 0)
			return ERR_INPUT;
		if (i == 0 && placeholders_any(argv[i]))
			return err_set(err, ERR_INPUT,
				       "the program of a command cannot have a placeholder in its name");
		if (!options && names_option(argv[i]))
			return err_set(
				err, ERR_INPUT,
				"%s: the job would choose the option; write its name here, or say options: allowed",
				argv[i]);
	}
	return check_scripts(argv, ret_at, err);
}

static int check_filled(const char *text, const char *from, bool options, struct err *err)
{
	if (!options && *text == '-' && placeholder_leads(from))
		return err_set(
			err, ERR_INPUT,
			"%s: the value begins with - and would be taken as an option (in the handler, put \"--\" "
			"before it if its program knows that, or say options: allowed)",
			from);
	if (strlen(text) > ARGUMENT_MAX)
		return err_set(err, ERR_INPUT, "%s: the value is longer than 128 KiB, the most for one argument", from);
	return 0;
}

int command_line_fill(const struct attempt *attempt, const char *dir, char ***ret, struct err *err)
{
	char *const *from = attempt->handler->argv;
	bool operands = attempt->handler->options;
	size_t count = 0;
	char **argv;
	int r = 0;

	while (from[count])
		count++;
	argv = xcalloc(count + 1, sizeof *argv);
	for (size_t i = 0; i < count && r == 0; i++) {
		r = placeholders_fill(from[i], attempt, dir, &argv[i], err);
		if (r == 0)
			r = check_filled(argv[i], from[i], operands, err);
		if (!attempt->handler->options)
			operands = strcmp(from[i], "--") == 0 || (operands && placeholder_leads(from[i]));
	}
	if (r < 0)
		process_argv_free(argv);
	else
		*ret = argv;
	return r;
}
