/* UTF-8, strictly: no surrogates, no overlong forms, nothing above U+10FFFF. Pure. */
#ifndef FLOTILLA_BASE_UTF8_H
#define FLOTILLA_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>

bool utf8_valid(const char *text, size_t len);

/* The length (1 to 4) of the character that begins at `text`, or 0 where none does; `len` > 0. */
size_t utf8_char(const char *text, size_t len);

#endif
