#include "store/keys.h"

#include <stdbool.h>
#include <string.h>

enum key_of { OF_FLEET, OF_ID, OF_RUN, OF_NEXT };

struct row {
	const char *word, *before, *behind;
	enum key_of of;
};

static const struct row rows[] = {
#define X(name, word, before, behind, of) [name] = {word, before, behind, OF_##of},
	STORE_KEY_MAP(X)
#undef X
};

void store_key(struct buf *ret, const char *prefix, enum store_key key, const char *id, const char *run)
{
	const struct row *row = &rows[key];
	const char *of = row->of == OF_ID || row->of == OF_NEXT ? id : row->of == OF_RUN ? run : NULL;

	buf_adds(ret, prefix);
	buf_adds(ret, row->before);
	if (of)
		buf_adds(ret, of);
	buf_adds(ret, row->behind);
}

size_t store_key_word(enum store_key key) { return rows[key].of == OF_RUN ? 1 : rows[key].of == OF_NEXT ? 2 : 0; }

int store_key_parse(const char *word, size_t len)
{
	for (int i = 0; i < STORE_KEY_COUNT; i++)
		if (strlen(rows[i].word) == len && memcmp(rows[i].word, word, len) == 0)
			return i;
	return -1;
}

/* Ids of jobs and runs have no colon; a dedup key, a worker's name or a counter's may have any. */
static bool fits(enum store_key key, const char *name, const char **ret_of, size_t *ret_len)
{
	const struct row *row = &rows[key];
	size_t len = strlen(name), before = strlen(row->before), behind = strlen(row->behind);
	bool plain = strcmp(row->before, ":job:") == 0 || strcmp(row->before, ":run:") == 0;

	if (len < before + behind || strncmp(name, row->before, before) != 0 ||
	    strcmp(name + len - behind, row->behind) != 0)
		return false;
	len -= before + behind;
	if (row->of == OF_FLEET ? len > 0 : len == 0 || (plain && memchr(name + before, ':', len)))
		return false;
	*ret_of = name + before;
	*ret_len = len;
	return true;
}

int store_key_split(const char *prefix, const char *name, const char **ret_of, size_t *ret_len)
{
	size_t len = strlen(prefix);

	if (strncmp(name, prefix, len) != 0)
		return -1;
	for (int key = 0; key < STORE_KEY_COUNT; key++)
		if (fits((enum store_key)key, name + len, ret_of, ret_len))
			return key;
	return -1;
}
