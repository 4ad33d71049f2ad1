#include "exec/output.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void output_release(struct output *output) { buf_release(&output->bytes); }

static void keep_last(struct output *output, size_t len)
{
	struct buf *b = &output->bytes;
	if (b->len <= len)
		return;
	memmove(b->data, b->data + b->len - len, len);
	b->len = len;
	b->data[len] = '\0';
}

void output_add(struct output *output, const char *bytes, size_t len)
{
	if (len == 0)
		return;
	if (len > OUTPUT_KEPT) {
		bytes += len - OUTPUT_KEPT;
		len = OUTPUT_KEPT;
	}
	/* Moving only when twice as much has gathered keeps it linear in what is written. */
	if (output->bytes.len + len > (size_t)2 * OUTPUT_KEPT)
		keep_last(output, OUTPUT_KEPT - len);
	buf_add(&output->bytes, bytes, len);
	output->grew = true;
}

void output_add_file(struct output *output, int fd, off_t *offset)
{
	struct stat st;
	struct buf chunk = BUF_INIT;

	if (fd < 0 || fstat(fd, &st) < 0 || st.st_size == *offset)
		return;
	/* A file that shrank was emptied by the job: what it holds now is new. */
	if (st.st_size < *offset)
		*offset = 0;
	if (st.st_size - *offset > OUTPUT_KEPT)
		*offset = st.st_size - OUTPUT_KEPT;
	buf_grow(&chunk, OUTPUT_KEPT);
	for (;;) {
		ssize_t got = pread(fd, chunk.data, (size_t)(st.st_size - *offset), *offset);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			break;
		output_add(output, chunk.data, (size_t)got);
		*offset += got;
		if (*offset >= st.st_size)
			break;
	}
	buf_release(&chunk);
}

const char *output_tail(struct output *output, size_t *len)
{
	keep_last(output, OUTPUT_KEPT);
	output->grew = false;
	*len = output->bytes.len;
	return output->bytes.data ? output->bytes.data : "";
}
