#include "exposition.h"

#include <math.h>

void exposition_head(struct buf *out, const char *name, const char *type, const char *help)
{
	buf_addf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void add_escaped(struct buf *out, const char *text)
{
	for (; *text; text++)
		if (*text == '\n')
			buf_adds(out, "\\n");
		else if (*text == '\\' || *text == '"')
			buf_addf(out, "\\%c", *text);
		else
			buf_add(out, text, 1);
}

/* Counts stand as whole numbers, however large. */
static void add_number(struct buf *out, double value)
{
	if (value == floor(value) && fabs(value) < 9007199254740992.0)
		buf_addf(out, " %.0f\n", value);
	else
		buf_addf(out, " %.15g\n", value);
}

void exposition_sample(struct buf *out, const char *name, const struct label *labels, double value)
{
	buf_adds(out, name);
	for (size_t i = 0; labels && labels[i].name; i++) {
		buf_addf(out, "%s%s=\"", i ? "," : "{", labels[i].name);
		add_escaped(out, labels[i].value);
		buf_adds(out, "\"");
	}
	if (labels && labels[0].name)
		buf_adds(out, "}");
	add_number(out, value);
}

void exposition_single(struct buf *out, const char *name, const char *type, const char *help,
		       const struct label *labels, double value)
{
	exposition_head(out, name, type, help);
	exposition_sample(out, name, labels, value);
}
