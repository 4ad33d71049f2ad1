#include "base/json_escape.h"

#include <stdbool.h>

#include "base/utf8.h"

/* U+0080 to U+009F, which terminals take for escape sequences. */
static bool is_control(const char *text, size_t size)
{
	return size == 2 && (unsigned char)text[0] == 0xc2 && (unsigned char)text[1] < 0xa0;
}

/* How many bytes from `text` on stand for themselves. */
static size_t plain_run(const char *text, size_t len)
{
	size_t n = 0;
	while (n < len) {
		unsigned char c = (unsigned char)text[n];
		size_t size = 1;
		if (c < 0x20 || c == '"' || c == '\\' || c == 0x7f)
			break;
		if (c >= 0x80)
			size = utf8_char(text + n, len - n);
		if (size == 0 || is_control(text + n, size))
			break;
		n += size;
	}
	return n;
}

static void escape_byte(struct buf *ret, unsigned char c)
{
	switch (c) {
	case '"': buf_adds(ret, "\\\""); break;
	case '\\': buf_adds(ret, "\\\\"); break;
	case '\n': buf_adds(ret, "\\n"); break;
	case '\r': buf_adds(ret, "\\r"); break;
	case '\t': buf_adds(ret, "\\t"); break;
	default:
		if (c < 0x80)
			buf_addf(ret, "\\u%04x", c);
		else
			buf_adds(ret, "\xef\xbf\xbd");
	}
}

void json_escape(struct buf *ret, const char *text, size_t len)
{
	buf_grow(ret, len + 2);
	buf_add(ret, "\"", 1);
	while (len > 0) {
		size_t run = plain_run(text, len);
		buf_add(ret, text, run);
		text += run;
		len -= run;
		if (len > 1 && is_control(text, utf8_char(text, len))) {
			buf_addf(ret, "\\u%04x", (unsigned char)text[1]);
			text += 2;
			len -= 2;
		} else if (len > 0) {
			escape_byte(ret, (unsigned char)*text);
			text++;
			len--;
		}
	}
	buf_add(ret, "\"", 1);
}
