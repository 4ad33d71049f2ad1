#include "base/duration.h"

#include <stdio.h>
#include <string.h>

struct unit {
	const char *name;
	int64_t ms;
};

/* From large to small. */
static const struct unit units[] = {{"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}};
#define UNIT_COUNT (sizeof units / sizeof *units)

static const char digits[] = "0123456789";

static size_t number_len(const char *text)
{
	size_t whole = strspn(text, digits), part = 0;
	if (whole > 0 && text[whole] == '.') {
		part = strspn(text + whole + 1, digits);
		return part ? whole + 1 + part : 0;
	}
	return whole;
}

static size_t find_unit(const char *text, size_t len)
{
	for (size_t i = 0; i < UNIT_COUNT; i++)
		if (strlen(units[i].name) == len && memcmp(units[i].name, text, len) == 0)
			return i;
	return UNIT_COUNT;
}

/* The digits behind the point, of `unit` milliseconds, rounded up; what is beyond nine digits does not matter. */
static int64_t part_of(const char *text, size_t len, int64_t unit)
{
	int64_t part = 0, scale = 1;

	for (size_t i = 0; i < len && i < 9; i++) {
		part = part * 10 + (text[i] - '0');
		scale *= 10;
	}
	return (part * unit + scale - 1) / scale;
}

/* `len` digits, perhaps with a point among them, of `unit` milliseconds; too many are one more than is allowed. */
static int64_t scaled(const char *text, size_t len, int64_t unit)
{
	int64_t whole = 0;
	size_t i = 0;

	for (; i < len && text[i] != '.'; i++) {
		whole = whole * 10 + (text[i] - '0');
		if (whole > DURATION_MAX_MS / unit)
			return DURATION_MAX_MS + 1;
	}
	if (i == len)
		return whole * unit;
	return whole * unit + part_of(text + i + 1, len - i - 1, unit);
}

static int fail(const char *text, struct err *err)
{
	return err_set(err, ERR_INPUT, "\"%.60s\" is no duration; say 500ms, 10s, 5m, 2h or 1d", text);
}

int duration_parse(const char *text, int64_t *ret_ms, struct err *err)
{
	size_t last = 0;
	int64_t sum = 0;

	if (strcmp(text, "0") == 0) {
		*ret_ms = 0;
		return 0;
	}
	if (*text && number_len(text) == strlen(text))
		return err_set(err, ERR_INPUT, "\"%.60s\" has no unit; say %.60ss for seconds, or ms, m, h, d", text,
			       text);
	for (const char *at = text; *at || at == text;) {
		size_t number = number_len(at), name = strcspn(at + number, digits);
		size_t unit = find_unit(at + number, name);
		if (number == 0 || unit == UNIT_COUNT || unit + 1 <= last)
			return fail(text, err);
		sum += scaled(at, number, units[unit].ms);
		if (sum > DURATION_MAX_MS)
			return err_set(err, ERR_INPUT, "\"%.60s\" is more than ten years", text);
		last = unit + 1;
		at += number + name;
	}
	*ret_ms = sum;
	return 0;
}

void duration_format(int64_t ms, char *text)
{
	const char *sign = ms < 0 ? "-" : "";
	uint64_t n = ms < 0 ? 0 - (uint64_t)ms : (uint64_t)ms, s = (n + 500) / 1000;

	if (n < 1000)
		snprintf(text, DURATION_TEXT, "%s%u ms", sign, (unsigned)n);
	else if (n < 59950)
		snprintf(text, DURATION_TEXT, "%s%.1f s", sign, (double)n / 1000);
	else if (s < 3600)
		snprintf(text, DURATION_TEXT, "%s%u min %u s", sign, (unsigned)(s / 60), (unsigned)(s % 60));
	else if (s < 86400)
		snprintf(text, DURATION_TEXT, "%s%u h %u min", sign, (unsigned)(s / 3600), (unsigned)(s / 60 % 60));
	else
		snprintf(text, DURATION_TEXT, "%s%llu d %u h", sign, (unsigned long long)(s / 86400),
			 (unsigned)(s / 3600 % 24));
}
