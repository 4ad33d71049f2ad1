#include "job/quote.h"

#include <string.h>

#include "base/utf8.h"

const char *quote_text(char *ret, const char *text, size_t len)
{
	size_t used = 0, at = 0;

	while (at < len) {
		size_t size = utf8_char(text + at, len - at);
		unsigned char c = (unsigned char)text[at];
		if (used + 4 + sizeof "..." > QUOTE_TEXT) {
			memcpy(ret + used, "...", 3);
			used += 3;
			break;
		}
		if (size == 0 || c < 0x20 || c == 0x7f) {
			ret[used++] = '?';
			at++;
			continue;
		}
		memcpy(ret + used, text + at, size);
		used += size;
		at += size;
	}
	ret[used] = '\0';
	return ret;
}
