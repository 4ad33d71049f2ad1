#include "store/keys.h"

#include <string.h>

enum key_of { OF_FLEET, OF_ID, OF_RUN };

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
	const char *of = row->of == OF_ID ? id : row->of == OF_RUN ? run : NULL;

	buf_adds(ret, prefix);
	buf_adds(ret, row->before);
	if (of)
		buf_adds(ret, of);
	buf_adds(ret, row->behind);
}

int store_key_parse(const char *word, size_t len)
{
	for (int i = 0; i < STORE_KEY_COUNT; i++)
		if (strlen(rows[i].word) == len && memcmp(rows[i].word, word, len) == 0)
			return i;
	return -1;
}
