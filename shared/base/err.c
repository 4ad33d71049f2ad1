#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"

struct row {
	int code;
	const char *name;
	const char *message;
	enum err_class class;
};

static const struct row rows[] = {
#define X(name, value, message, class) {value, #name, message, class},
	ERR_MAP(X)
#undef X
};

static const struct row *find(int code)
{
	static const struct row unknown = {0, "ERR_UNKNOWN", "unknown error", ERR_FATAL};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		if (rows[i].code == code)
			return &rows[i];
	return &unknown;
}

/* Names and values of strangers stand in errors; whatever is in them, and wherever they were cut, an error stays one
 * line of UTF-8 that a terminal can show. */
static void keep_one_line(char *text)
{
	size_t len = strlen(text);

	for (size_t i = 0; i < len;) {
		size_t size = utf8_char(text + i, len - i);
		if (size == 0 || (unsigned char)text[i] < 0x20 || text[i] == 0x7f)
			text[i] = '?';
		i += size ? size : 1;
	}
}

int err_set(struct err *err, int code, const char *format, ...)
{
	char text[sizeof err->text];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof text, format, ap);
	va_end(ap);
	keep_one_line(text);
	err->code = code;
	memcpy(err->text, text, strlen(text) + 1);
	return code;
}

int err_prefix(struct err *err, const char *format, ...)
{
	char rest[sizeof err->text];
	va_list ap;
	int used;

	memcpy(rest, err->text, sizeof rest);
	va_start(ap, format);
	used = vsnprintf(err->text, sizeof err->text, format, ap);
	va_end(ap);
	if (used >= 0 && (size_t)used < sizeof err->text)
		snprintf(err->text + used, sizeof err->text - (size_t)used, ": %s", rest);
	keep_one_line(err->text);
	return err->code;
}

const char *err_name(int code) { return find(code)->name; }
const char *err_message(int code) { return find(code)->message; }
enum err_class err_class(int code) { return find(code)->class; }

int err_exit_code(int code)
{
	switch (code) {
	case ERR_INPUT:
	case ERR_USAGE:
	case ERR_REFUSED: return 2;
	case ERR_SERVICE:
	case ERR_FULL: return 3;
	case ERR_NOT_FOUND: return 4;
	case ERR_TIMEOUT: return 124;
	default: return 1;
	}
}
