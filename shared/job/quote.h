/* Strangers' text within errors: short, printable, on one line. Pure. */
#ifndef FLOTILLA_JOB_QUOTE_H
#define FLOTILLA_JOB_QUOTE_H

#include <stddef.h>

#define QUOTE_TEXT 96

/* Writes what can be shown of `text` to `ret`, which has room for QUOTE_TEXT bytes, and returns `ret`: control
 * characters and bytes that are not UTF-8 become `?`, long text ends in "...". */
const char *quote_text(char *ret, const char *text, size_t len);

#endif
