/* Names: as an id can have them, and the nearest one to a slip of the pen. */
#include <string.h>

#include "workflow/plan.h"

static bool id_char(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
	       (c && strchr("._/@+=,-", c));
}

void name_clean(char *name, bool slash)
{
	for (; *name; name++)
		if (!id_char(*name) || (*name == '/' && !slash))
			*name = '_';
}

#define NEAR_MAX 64 /* longer names are not compared */

/* Levenshtein's distance, with two neighbours changed over counted once. */
static size_t distance(const char *a, size_t alen, const char *b, size_t blen)
{
	size_t rows[3][NEAR_MAX + 1];
	size_t *before = rows[0], *above = rows[1], *row = rows[2], *spare;

	for (size_t j = 0; j <= blen; j++)
		above[j] = j;
	for (size_t i = 1; i <= alen; i++) {
		row[0] = i;
		for (size_t j = 1; j <= blen; j++) {
			size_t best = above[j - 1] + (a[i - 1] != b[j - 1]);
			if (above[j] + 1 < best)
				best = above[j] + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && before[j - 2] + 1 < best)
				best = before[j - 2] + 1;
			row[j] = best;
		}
		spare = before;
		before = above;
		above = row;
		row = spare;
	}
	return above[blen];
}

static size_t same_start(const char *a, const char *b)
{
	size_t len = 0;

	while (a[len] && a[len] == b[len])
		len++;
	return len;
}

const char *nearest_name(const char *name, const char *(*next)(void *data), void *data)
{
	size_t len = strlen(name);
	size_t best = (len + 1) / 2 + 1; /* nearer than this, or nothing is said */
	const char *found = NULL, *other;

	while ((other = next(data))) {
		size_t other_len = strlen(other);
		size_t apart = len > other_len ? len - other_len : other_len - len;
		size_t d;

		if (len > NEAR_MAX || other_len > NEAR_MAX || apart > best)
			continue;
		d = distance(name, len, other, other_len);
		if (d < other_len &&
		    (d < best || (found && d == best && same_start(name, other) > same_start(name, found)))) {
			best = d;
			found = other;
		}
	}
	return found;
}

#define PART_MAX 200 /* file systems take 255; the handler writes to a longer name first */
#define FILE_NAME_MAX 1000

char *file_name_clean(const char *name)
{
	struct buf clean = BUF_INIT;

	while (*name) {
		size_t len = strcspn(name, "/");

		if (len > PART_MAX || clean.len + len > FILE_NAME_MAX) {
			buf_release(&clean);
			return NULL;
		}
		if (len && !(len == 1 && *name == '.')) {
			bool up = len == 2 && !memcmp(name, "..", 2);
			buf_adds(&clean, clean.len ? "/" : "");
			buf_add(&clean, up ? "_" : name, up ? 1 : len);
		}
		name += len;
		name += *name == '/';
	}
	if (clean.len)
		return buf_detach(&clean);
	buf_release(&clean);
	return NULL;
}
