/* Text as a JSON string. Pure; job/json.h is the rest of JSON. */
#ifndef FLOTILLA_BASE_JSON_ESCAPE_H
#define FLOTILLA_BASE_JSON_ESCAPE_H

#include <stddef.h>

#include "base/buf.h"

/* Appends text with its quotes; control characters are escaped, bytes that are not UTF-8 become U+FFFD. */
void json_escape(struct buf *ret, const char *text, size_t len);

#endif
