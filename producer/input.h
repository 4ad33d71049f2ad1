/* Files that the user names; "-" is standard input. */
#ifndef FLOTILLA_PRODUCER_INPUT_H
#define FLOTILLA_PRODUCER_INPUT_H

#include "base/buf.h"
#include "base/err.h"

/* Reads all of it. ERR_NOT_FOUND, ERR_INPUT (cannot be read, larger than 64 MiB). */
int input_read(const char *path, struct buf *ret, struct err *err);

#endif
