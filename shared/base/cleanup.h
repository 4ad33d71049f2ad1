/* Cleanup attributes for locals (after systemd's): `CLEANUP(freep) char *s = NULL;`. Always initialise. */
#ifndef FLOTILLA_BASE_CLEANUP_H
#define FLOTILLA_BASE_CLEANUP_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define CLEANUP(function) __attribute__((cleanup(function)))

/* The pointer, and the variable forgets it: for handing a local over. */
#define TAKE_PTR(pointer)                                                                                              \
	__extension__({                                                                                                \
		__typeof__(pointer) taken_ = (pointer);                                                                \
		(pointer) = NULL;                                                                                      \
		taken_;                                                                                                \
	})

static inline void freep(void *pointer) { free(*(void **)pointer); }
static inline void closep(const int *fd)
{
	if (*fd >= 0)
		close(*fd);
}
static inline void fclosep(FILE **file)
{
	if (*file)
		fclose(*file);
}

#endif
