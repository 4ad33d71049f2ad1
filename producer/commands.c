#include "commands.h"

#include <string.h>

const struct command *const commands[] = {
#define X(name) &command_##name,
	COMMAND_MAP(X)
#undef X
};
const size_t command_count = sizeof commands / sizeof *commands;

const struct command *command_find(const char *name)
{
	for (size_t i = 0; i < command_count; i++)
		if (strcmp(commands[i]->name, name) == 0)
			return commands[i];
	return NULL;
}

#define WORD_MAX 40

static size_t least(size_t a, size_t b) { return a < b ? a : b; }

/* How many characters have to be added, removed or changed. */
static size_t distance(const char *a, const char *b)
{
	size_t row[WORD_MAX + 1], len = strlen(b);

	for (size_t j = 0; j <= len; j++)
		row[j] = j;
	for (size_t i = 0; a[i]; i++) {
		size_t corner = row[0];
		row[0] = i + 1;
		for (size_t j = 0; j < len; j++) {
			size_t changed = corner + (a[i] != b[j]);
			corner = row[j + 1];
			row[j + 1] = least(changed, least(row[j], row[j + 1]) + 1);
		}
	}
	return row[len];
}

const char *nearest_word(const char *word, const char *const *names, size_t count)
{
	const char *best = NULL;
	size_t best_distance = 4, len = strlen(word);

	if (len > WORD_MAX)
		return NULL;
	for (size_t i = 0; i < count; i++) {
		size_t d = strlen(names[i]) <= WORD_MAX ? distance(word, names[i]) : WORD_MAX;
		if (len >= 3 && strncmp(names[i], word, len) == 0)
			d = 1;
		if (d < best_distance && d < len) {
			best = names[i];
			best_distance = d;
		}
	}
	return best;
}
