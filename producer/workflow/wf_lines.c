/* The lines at which a recording's tasks begin: Jansson keeps none, and an error without a line is of little use in a
 * file of many thousands. */
#include <string.h>

#include "workflow/wfformat.h"

#define TASKS_DEPTH 4 /* inside root, workflow, specification, tasks */

struct scan {
	const char *at;
	int line;
	int depth;
	const char *keys[TASKS_DEPTH]; /* by depth, at its opening quote; of the members that `at` is in */
};

/* A string: if a colon follows, it is a key. Leaves `at` at its closing quote. */
static void scan_string(struct scan *scan)
{
	const char *start = scan->at;
	const char *after;

	for (scan->at++; *scan->at && *scan->at != '"'; scan->at++)
		if (*scan->at == '\\' && scan->at[1])
			scan->at++;
	if (!*scan->at)
		return;
	after = scan->at + 1 + strspn(scan->at + 1, " \t\r\n");
	if (*after == ':' && scan->depth < TASKS_DEPTH)
		scan->keys[scan->depth] = start;
}

static bool key_is(const char *key, const char *quoted) { return key && !strncmp(key, quoted, strlen(quoted)); }

static bool in_tasks(const struct scan *scan)
{
	return scan->depth == TASKS_DEPTH && key_is(scan->keys[1], "\"workflow\"") &&
	       key_is(scan->keys[2], "\"specification\"") && key_is(scan->keys[3], "\"tasks\"");
}

void wf_task_lines(const char *text, struct recording *recording)
{
	struct scan scan = {.at = text, .line = 1};
	size_t task = 0;

	for (; *scan.at && task < recording->task_count; scan.at += *scan.at != '\0') {
		if (*scan.at == '\n')
			scan.line++;
		else if (*scan.at == '"')
			scan_string(&scan);
		else if (*scan.at == '}' || *scan.at == ']')
			scan.depth--;
		if (*scan.at != '{' && *scan.at != '[')
			continue;
		if (*scan.at == '{' && in_tasks(&scan))
			recording->tasks[task++].line = scan.line;
		scan.depth++;
	}
}
