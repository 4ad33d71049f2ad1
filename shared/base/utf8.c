#include "base/utf8.h"

#include <stdint.h>
#include <string.h>

static bool follows(const unsigned char *at, size_t from, size_t to)
{
	for (size_t i = from; i < to; i++)
		if ((at[i] & 0xc0) != 0x80)
			return false;
	return true;
}

size_t utf8_char(const char *text, size_t len)
{
	const unsigned char *at = (const unsigned char *)text;
	unsigned low = 0x80, high = 0xbf;
	size_t size;

	if (at[0] < 0x80)
		return 1;
	if (at[0] < 0xc2 || at[0] > 0xf4)
		return 0;
	size = at[0] < 0xe0 ? 2 : at[0] < 0xf0 ? 3 : 4;
	if (size > len)
		return 0;
	switch (at[0]) {
	case 0xe0: low = 0xa0; break;  /* overlong */
	case 0xed: high = 0x9f; break; /* surrogates */
	case 0xf0: low = 0x90; break;  /* overlong */
	case 0xf4: high = 0x8f; break; /* above U+10FFFF */
	default: break;
	}
	return at[1] >= low && at[1] <= high && follows(at, 2, size) ? size : 0;
}

bool utf8_valid(const char *text, size_t len)
{
	size_t at = 0;

	while (at < len) {
		uint64_t word;
		size_t size;
		if (len - at >= sizeof word) {
			memcpy(&word, text + at, sizeof word);
			if (!(word & UINT64_C(0x8080808080808080))) {
				at += sizeof word;
				continue;
			}
		}
		size = utf8_char(text + at, len - at);
		if (size == 0)
			return false;
		at += size;
	}
	return true;
}
