/* Durations as people write and read them. Pure. */
#ifndef FLOTILLA_BASE_DURATION_H
#define FLOTILLA_BASE_DURATION_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* Ten years of 366 days: the longest that is taken anywhere. */
#define DURATION_MAX_MS (INT64_C(3660) * 24 * 3600 * 1000)

/* `500ms 10s 5m 2h 1d`, whole or with a fraction (`1.5s`), also several in a row from large to small (`1h30m`), to
 * milliseconds. ERR_INPUT: no unit (with a hint), an unknown unit, negative, above DURATION_MAX_MS. `0` needs no unit.
 * The text of the error does not name the setting: see err_prefix. */
int duration_parse(const char *text, int64_t *ret_ms, struct err *err);

#define DURATION_TEXT 32
/* For people, two units at the most: "12 ms", "1.5 s", "2 min 3 s", "3 h 4 min", "2 d 5 h". `text` has room for
 * DURATION_TEXT bytes. */
void duration_format(int64_t ms, char *text);

#endif
