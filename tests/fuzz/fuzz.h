/* What the fuzzers share. */
#ifndef FLOTILLA_TESTS_FUZZ_FUZZ_H
#define FLOTILLA_TESTS_FUZZ_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static inline void must(bool truth)
{
	if (!truth)
		abort();
}

/* What people are told of bad input is one line of clean text. */
static inline void must_be_words(const struct err *err)
{
	must(*err->text && utf8_valid(err->text, strlen(err->text)) && !strpbrk(err->text, "\r\n"));
}

#define FUZZ_PATH 64
/* The bytes as a file that has a name and is nowhere: `path` has room for FUZZ_PATH; close what is returned. */
static inline int fuzz_file(const void *data, size_t size, char *path)
{
	int fd = memfd_create("input", MFD_CLOEXEC);

	must(fd >= 0 && write(fd, data, size) == (ssize_t)size && lseek(fd, 0, SEEK_SET) == 0);
	snprintf(path, FUZZ_PATH, "/proc/self/fd/%d", fd);
	return fd;
}

#endif
