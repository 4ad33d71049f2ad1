/* The loads of the benchmark, in C so that the client is not what is measured: `load NAME ARGUMENTS`, `load` lists
 * them.
 *
 * To add one: a function and a row in a file of its kind, a declaration in load.h, a line in `loads`. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "load.h"

static const struct load *const loads[] = {&load_raw, &load_publish, &load_jobs, &load_bodies,
					   &load_hop, &load_latency, &load_hops, &load_redis};

static int usage(void)
{
	for (size_t i = 0; i < sizeof loads / sizeof *loads; i++)
		fprintf(stderr, "load %s %s\n", loads[i]->name, loads[i]->usage);
	return 2;
}

int main(int argc, char **argv)
{
	for (size_t i = 0; argc > 1 && i < sizeof loads / sizeof *loads; i++)
		if (strcmp(argv[1], loads[i]->name) == 0 && argc - 2 >= loads[i]->argc_min) {
			loads[i]->run(argc - 2, argv + 2);
			return 0;
		}
	return usage();
}
