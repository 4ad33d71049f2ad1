/* Values of options and arguments. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "app.h"
#include "base/buf.h"
#include "base/duration.h"
#include "job/job.h"
#include "job/quote.h"

void texts_add(struct texts *texts, const char *text)
{
	texts->at = xrealloc(texts->at, (texts->count + 1) * sizeof *texts->at);
	texts->at[texts->count++] = text;
}

void texts_release(struct texts *texts)
{
	free(texts->at);
	*texts = (struct texts){0};
}

int take_int(const char *text, int64_t min, int64_t max, int64_t *ret, struct err *err)
{
	char *end, shown[QUOTE_TEXT];
	long long value;

	errno = 0;
	value = strtoll(text, &end, 10);
	if (!*text || *end || errno || value < min || value > max)
		return err_set(err, ERR_USAGE, "'%s' is not a whole number from %lld to %lld",
			       quote_text(shown, text, strlen(text)), (long long)min, (long long)max);
	*ret = value;
	return 0;
}

int take_duration(const char *text, int64_t *ret_ms, struct err *err)
{
	if (duration_parse(text, ret_ms, err) < 0)
		return err->code = ERR_USAGE;
	return 0;
}

int take_flag(void *options, int key, const char *value, struct err *err)
{
	(void)key;
	(void)value;
	(void)err;
	*(bool *)options = true;
	return 0;
}

int take_positive(const char *text, double *ret, struct err *err)
{
	char *end, shown[QUOTE_TEXT];
	double value = strtod(text, &end);

	if (!*text || *end || !isfinite(value) || value <= 0)
		return err_set(err, ERR_USAGE, "'%s' is not a number above 0", quote_text(shown, text, strlen(text)));
	*ret = value;
	return 0;
}

int check_id(const char *text, struct err *err)
{
	char shown[QUOTE_TEXT];

	if (job_id_valid(text, strlen(text)))
		return 0;
	return err_set(err, ERR_USAGE, "'%s' cannot be an id: 1 to 200 of A-Z a-z 0-9 . _ / @ + = , -",
		       quote_text(shown, text, strlen(text)));
}

int check_pool(const char *text, struct err *err)
{
	char shown[QUOTE_TEXT];

	if (job_pool_valid(text, strlen(text)))
		return 0;
	return err_set(err, ERR_USAGE, "'%s' cannot be a pool: 1 to 63 of a-z 0-9 _ -, a letter or digit first",
		       quote_text(shown, text, strlen(text)));
}

int check_ids(const struct app *app, struct err *err)
{
	for (size_t i = 0; i < app->arg_count; i++)
		if (check_id(app->args[i], err) < 0)
			return err->code;
	return 0;
}
