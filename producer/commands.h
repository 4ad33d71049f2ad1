/* The table of sub-commands. */
#ifndef FLOTILLA_PRODUCER_COMMANDS_H
#define FLOTILLA_PRODUCER_COMMANDS_H

#include <stddef.h>

#include "app.h"

/* In the order of `flotilla --help`. */
#define COMMAND_MAP(X)                                                                                                 \
	X(submit)                                                                                                      \
	X(publish)                                                                                                     \
	X(run)                                                                                                         \
	X(status)                                                                                                      \
	X(ls)                                                                                                          \
	X(wait)                                                                                                        \
	X(result)                                                                                                      \
	X(logs)                                                                                                        \
	X(cancel)                                                                                                      \
	X(retry)                                                                                                       \
	X(why)                                                                                                         \
	X(workers)                                                                                                     \
	X(stats)                                                                                                       \
	X(top)                                                                                                         \
	X(doctor)                                                                                                      \
	X(broker)                                                                                                      \
	X(graph)                                                                                                       \
	X(import)                                                                                                      \
	X(version)

#define X(name) extern const struct command command_##name;
COMMAND_MAP(X)
#undef X

extern const struct command *const commands[];
extern const size_t command_count;

/* The command of that name, or NULL. */
const struct command *command_find(const char *name);

/* The nearest of `names` to a word that is none of them, or NULL where none is near. */
const char *nearest_word(const char *word, const char *const *names, size_t count);

#endif
