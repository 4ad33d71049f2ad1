/* Prints the table of fault points, one a line, with tabs: name, who, actions, where it is. The table is in the header,
 * so that this works in every build. */
#include <stdio.h>

#include "base/fault.h"

#define SCRIPT_ROW(name, who, what)                                                                                    \
	{#name ".sent", who, "kse", what, ": written to Redis, not answered"},                                         \
		{#name ".answered", who, "kse", what, ": answered, nothing done about it"},
#define POINT_ROW(NAME, name, who, actions, what) {name, who, actions, what, ""},

static const struct {
	const char *name, *who, *actions, *what, *more;
} rows[FAULT_COUNT] = {FAULT_MAP(SCRIPT_ROW, POINT_ROW)};

int main(void)
{
	for (int i = 0; i < FAULT_COUNT; i++)
		printf("%s\t%s\t%s\t%s%s\n", rows[i].name, rows[i].who, rows[i].actions, rows[i].what, rows[i].more);
	return 0;
}
