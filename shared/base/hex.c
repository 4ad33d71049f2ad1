#include "base/hex.h"

void hex_encode(const unsigned char *bytes, size_t count, char *ret)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < count; i++) {
		ret[2 * i] = digits[bytes[i] >> 4];
		ret[2 * i + 1] = digits[bytes[i] & 15];
	}
	ret[2 * count] = '\0';
}

int hex_decode(const char *text, size_t count, unsigned char *ret)
{
	for (size_t i = 0; i < count; i++) {
		unsigned byte = 0;
		for (size_t j = 0; j < 2; j++) {
			char c = text[2 * i + j], low = (char)(c | 0x20);
			if (c >= '0' && c <= '9')
				byte = byte << 4 | (unsigned)(c - '0');
			else if (low >= 'a' && low <= 'f')
				byte = byte << 4 | (unsigned)(low - 'a' + 10);
			else
				return -1;
		}
		ret[i] = (unsigned char)byte;
	}
	return 0;
}
