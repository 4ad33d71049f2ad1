/* Sizes in bytes as people write them. Pure. */
#ifndef FLOTILLA_BASE_SIZE_H
#define FLOTILLA_BASE_SIZE_H

#include <stdint.h>

#include "base/err.h"

/* A pebibyte: more than is meant anywhere. */
#define SIZE_MAX_BYTES (INT64_C(1) << 50)

/* `512`, `64KiB`, `2GiB`, `1TiB`: a whole number, of bytes where it has no unit. ERR_INPUT: no number, an unknown unit
 * (1000s and 1024s are not guessed apart), more than SIZE_MAX_BYTES. The text of the error does not name the setting.
 */
int size_parse(const char *text, int64_t *ret_bytes, struct err *err);

#endif
