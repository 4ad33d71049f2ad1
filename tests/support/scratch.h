/* Where tests in C write: below TMPDIR, which tests/run takes away as a whole, also where a test was killed. */
#ifndef FLOTILLA_TESTS_SUPPORT_SCRATCH_H
#define FLOTILLA_TESTS_SUPPORT_SCRATCH_H

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

enum { SCRATCH_SIZE = 256 };

/* Makes a directory whose name begins with `name`; `path` has SCRATCH_SIZE bytes. */
static inline void scratch_dir(char *path, const char *name)
{
	const char *parent = getenv("TMPDIR");

	cr_assert_lt(snprintf(path, SCRATCH_SIZE, "%s/%s.XXXXXX", parent ? parent : "/tmp", name), SCRATCH_SIZE);
	cr_assert_not_null(mkdtemp(path), "%s", path);
}

#endif
