/* The end of what a job wrote: its last 64 KiB. */
#ifndef FLOTILLA_CONSUMER_EXEC_OUTPUT_H
#define FLOTILLA_CONSUMER_EXEC_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/buf.h"

#define OUTPUT_KEPT (64 * 1024)

struct output {
	struct buf bytes; /* the last of it; more than is kept while it grows */
	bool grew;        /* since output_tail was last asked */
};

void output_release(struct output *output);
void output_add(struct output *output, const char *bytes, size_t len);
/* Takes what a file has beyond *offset (only the last 64 KiB of that), and moves *offset on. */
void output_add_file(struct output *output, int fd, off_t *offset);
/* The last 64 KiB; borrowed until the next call. Never NULL. */
const char *output_tail(struct output *output, size_t *len);

#endif
