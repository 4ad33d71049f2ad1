/* Bytes as text of hexadecimal digits, and back. */
#ifndef FLOTILLA_BASE_HEX_H
#define FLOTILLA_BASE_HEX_H

#include <stddef.h>

/* Writes 2 * count small digits and a NUL. */
void hex_encode(const unsigned char *bytes, size_t count, char *ret);
/* Reads 2 * count digits, of either case. 0, or -1 where there is something else among them (or the text ends). */
int hex_decode(const char *text, size_t count, unsigned char *ret);

#endif
