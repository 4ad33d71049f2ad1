#include "base/buf.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *or_die(void *p)
{
	if (p)
		return p;
	fputs("flotilla: out of memory\n", stderr);
	abort();
}

void *xmalloc(size_t size) { return or_die(malloc(size ? size : 1)); }
void *xcalloc(size_t count, size_t size) { return or_die(calloc(count ? count : 1, size ? size : 1)); }
void *xrealloc(void *old, size_t size) { return or_die(realloc(old, size ? size : 1)); }
char *xstrdup(const char *text) { return or_die(strdup(text)); }

char *xmemdup0(const void *bytes, size_t len)
{
	char *copy = xmalloc(len + 1);
	if (len)
		memcpy(copy, bytes, len);
	copy[len] = '\0';
	return copy;
}

void buf_release(struct buf *buf)
{
	free(buf->data);
	*buf = (struct buf)BUF_INIT;
}

void buf_grow(struct buf *buf, size_t more)
{
	size_t want = buf->len + more + 1;
	size_t cap = buf->cap ? buf->cap : 64;

	if (want < more)
		abort();
	if (want <= buf->cap)
		return;
	while (cap < want)
		cap = cap > SIZE_MAX / 2 ? want : cap * 2;
	buf->data = xrealloc(buf->data, cap);
	buf->cap = cap;
	buf->data[buf->len] = '\0';
}

void buf_add(struct buf *buf, const void *bytes, size_t len)
{
	buf_grow(buf, len);
	if (len)
		memcpy(buf->data + buf->len, bytes, len);
	buf->len += len;
	buf->data[buf->len] = '\0';
}

void buf_adds(struct buf *buf, const char *text) { buf_add(buf, text, strlen(text)); }

void buf_vaddf(struct buf *buf, const char *format, va_list ap)
{
	va_list again;
	int need;

	va_copy(again, ap);
	need = vsnprintf(NULL, 0, format, again);
	va_end(again);
	if (need < 0)
		abort();
	buf_grow(buf, (size_t)need);
	vsnprintf(buf->data + buf->len, (size_t)need + 1, format, ap);
	buf->len += (size_t)need;
}

void buf_addf(struct buf *buf, const char *format, ...)
{
	va_list ap;
	va_start(ap, format);
	buf_vaddf(buf, format, ap);
	va_end(ap);
}

void buf_reset(struct buf *buf)
{
	buf->len = 0;
	if (buf->data)
		buf->data[0] = '\0';
}

char *buf_detach(struct buf *buf)
{
	char *data;
	buf_grow(buf, 0);
	data = buf->data;
	*buf = (struct buf)BUF_INIT;
	return data;
}
