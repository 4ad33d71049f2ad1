#include "out.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/utf8.h"

bool out_fancy(FILE *file)
{
	const char *term = getenv("TERM"), *no_color = getenv("NO_COLOR");

	return isatty(fileno(file)) && !(no_color && *no_color) && term && strcmp(term, "dumb") != 0;
}

int out_columns(FILE *file)
{
	struct winsize size;
	return ioctl(fileno(file), TIOCGWINSZ, &size) == 0 && size.ws_col ? size.ws_col : 80;
}

int out_rows(FILE *file)
{
	struct winsize size;
	return ioctl(fileno(file), TIOCGWINSZ, &size) == 0 && size.ws_row ? size.ws_row : 24;
}

const char *out_state_color(const char *state, bool fancy)
{
	static const char *const colors[][2] = {
		{"running", "\033[36m"},   {"succeeded", "\033[32m"}, {"failed", "\033[31m"},
		{"cancelled", "\033[35m"}, {"expired", "\033[35m"},   {"skipped", "\033[33m"},
	};

	for (size_t i = 0; fancy && i < sizeof colors / sizeof *colors; i++)
		if (strcmp(state, colors[i][0]) == 0)
			return colors[i][1];
	return "";
}

const char *out_plain(bool fancy) { return fancy ? "\033[0m" : ""; }
const char *out_bold(bool fancy) { return fancy ? "\033[1m" : ""; }

void out_clean(struct buf *ret, const char *text, size_t len, bool line)
{
	for (size_t i = 0; i < len;) {
		unsigned char c = (unsigned char)text[i];
		size_t n = utf8_char(text + i, len - i);

		if (c == '\n' || c == '\t')
			buf_add(ret, line ? " " : (const char *)&c, 1);
		else if (c < ' ' || c == 0x7f || n == 0 || (n == 2 && c == 0xc2 && (unsigned char)text[i + 1] < 0xa0))
			buf_adds(ret, "?");
		else
			buf_add(ret, text + i, n);
		i += n ? n : 1;
	}
}

void out_json(json_t *value, FILE *file)
{
	json_dumpf(value, file, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(17));
	fputc('\n', file);
	json_decref(value);
}

void table_add(struct table *table, const char *text)
{
	struct buf clean = BUF_INIT;

	out_clean(&clean, text, strlen(text), true);
	table->cells = xrealloc(table->cells, (table->count + 1) * sizeof *table->cells);
	table->cells[table->count++] = buf_detach(&clean);
}

void table_addf(struct table *table, const char *format, ...)
{
	CLEANUP(buf_release) struct buf text = BUF_INIT;
	va_list ap;

	va_start(ap, format);
	buf_vaddf(&text, format, ap);
	va_end(ap);
	table_add(table, text.data ? text.data : "");
}

/* Characters, not bytes. */
static size_t width(const char *text)
{
	size_t n = 0;
	for (; *text; text++)
		n += ((unsigned char)*text & 0xc0) != 0x80;
	return n;
}

static void write_cell(const struct table *table, size_t at, size_t widest, struct buf *ret)
{
	const char *text = table->cells[at];
	size_t column = at % table->columns, pad = widest - width(text);
	bool head = at < table->columns, last = column + 1 == table->columns;
	bool right = table->right && table->right[column] == 'r';
	const char *color =
		head ? out_bold(table->fancy) : out_state_color(column == table->state ? text : "", table->fancy);

	if (right)
		buf_addf(ret, "%*s", (int)pad, "");
	buf_addf(ret, "%s%s%s", color, text, *color ? out_plain(table->fancy) : "");
	if (!right && !last)
		buf_addf(ret, "%*s", (int)pad, "");
	buf_adds(ret, last ? "\n" : "  ");
}

void table_write(const struct table *table, struct buf *ret)
{
	CLEANUP(freep) size_t *widest = xcalloc(table->columns, sizeof *widest);

	for (size_t i = 0; i < table->count; i++)
		if (width(table->cells[i]) > widest[i % table->columns])
			widest[i % table->columns] = width(table->cells[i]);
	for (size_t i = 0; i < table->count; i++)
		write_cell(table, i, widest[i % table->columns], ret);
}

void table_print(const struct table *table, FILE *file)
{
	CLEANUP(buf_release) struct buf text = BUF_INIT;

	table_write(table, &text);
	fwrite(text.data, 1, text.len, file);
}

void table_release(struct table *table)
{
	for (size_t i = 0; i < table->count; i++)
		free(table->cells[i]);
	free(table->cells);
	table->cells = NULL;
	table->count = 0;
}
