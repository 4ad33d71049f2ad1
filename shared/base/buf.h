/* A growable run of bytes, always followed by a NUL that `len` does not count. Caller-owned: `struct buf b = BUF_INIT`.
 * Memory that cannot be had ends the process (as in git's strbuf): a worker that cannot grow a buffer cannot go on. */
#ifndef FLOTILLA_BASE_BUF_H
#define FLOTILLA_BASE_BUF_H

#include <stdarg.h>
#include <stddef.h>

struct buf {
	char *data;
	size_t len;
	size_t cap;
};

#define BUF_INIT                                                                                                       \
	{                                                                                                              \
		NULL, 0, 0                                                                                             \
	}

void buf_release(struct buf *buf);
/* Makes room for `more` bytes after `len`; `data` may move. */
void buf_grow(struct buf *buf, size_t more);
void buf_add(struct buf *buf, const void *bytes, size_t len);
void buf_adds(struct buf *buf, const char *text);
void buf_addf(struct buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));
void buf_vaddf(struct buf *buf, const char *format, va_list ap) __attribute__((format(printf, 2, 0)));
/* Empties it and keeps the memory. */
void buf_reset(struct buf *buf);
/* The bytes, NUL-terminated, now the caller's to free(); the buffer is empty again. Never NULL. */
char *buf_detach(struct buf *buf);

/* malloc, calloc, realloc and strdup that end the process when memory is out. The caller frees with free(). */
void *xmalloc(size_t size);
void *xcalloc(size_t count, size_t size);
void *xrealloc(void *old, size_t size);
char *xstrdup(const char *text);
/* A NUL-terminated copy of `len` bytes. */
char *xmemdup0(const void *bytes, size_t len);

#endif
