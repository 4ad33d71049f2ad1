#include "input.h"

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"

#define INPUT_MAX (64U << 20)
#define BLOCK 65536

int input_read(const char *path, struct buf *ret, struct err *err)
{
	CLEANUP(fclosep) FILE *opened = NULL;
	FILE *file = stdin;
	size_t got;

	if (strcmp(path, "-") != 0)
		file = opened = fopen(path, "re");
	if (!file)
		return err_set(err, errno == ENOENT ? ERR_NOT_FOUND : ERR_INPUT, "%s: cannot be opened: %s", path,
			       strerror(errno));
	do {
		buf_grow(ret, BLOCK);
		got = fread(ret->data + ret->len, 1, BLOCK, file);
		ret->len += got;
		ret->data[ret->len] = '\0';
		if (ret->len > INPUT_MAX)
			return err_set(err, ERR_INPUT, "%s: larger than %u MiB", path, INPUT_MAX >> 20);
	} while (got);
	if (ferror(file))
		return err_set(err, ERR_INPUT, "%s: cannot be read: %s", path, strerror(errno));
	return 0;
}
