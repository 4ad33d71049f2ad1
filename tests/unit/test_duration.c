#include <criterion/criterion.h>
#include <string.h>

#include "base/duration.h"

Test(duration, parsed)
{
	static const struct {
		const char *text;
		int64_t ms;
	} rows[] = {
		{"0", 0},           {"0s", 0},
		{"500ms", 500},     {"10s", 10000},
		{"5m", 300000},     {"2h", 7200000},
		{"1d", 86400000},   {"1.5s", 1500},
		{"0.25m", 15000},   {"1h30m", 5400000},
		{"1m2s3ms", 62003}, {"0.1ms", 1},
		{"2.0005s", 2001},  {"3660d", DURATION_MAX_MS},
		{"0.1s", 100},
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct err err = {0};
		int64_t ms = -1;
		cr_expect(duration_parse(rows[i].text, &ms, &err) == 0, "%s: %s", rows[i].text, err.text);
		cr_expect(ms == rows[i].ms, "%s: %lld", rows[i].text, (long long)ms);
	}
}

Test(duration, refused)
{
	static const struct {
		const char *text;
		const char *expected;
	} rows[] = {
		{"10", "\"10\" has no unit; say 10s"},
		{"1.5", "say 1.5s"},
		{"", "\"\" is no duration"},
		{"s", "is no duration"},
		{"-1s", "is no duration"},
		{"1x", "is no duration"},
		{"1 s", "is no duration"},
		{"1s ", "is no duration"},
		{"1.s", "is no duration"},
		{"1s1h", "is no duration"},
		{"1s1s", "is no duration"},
		{"3661d", "more than ten years"},
		{"99999999999999999999s", "more than ten years"},
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct err err = {0};
		int64_t ms = -1;
		cr_expect(duration_parse(rows[i].text, &ms, &err) == ERR_INPUT, "%s", rows[i].text);
		cr_expect(strstr(err.text, rows[i].expected), "%s: %s", rows[i].text, err.text);
		cr_expect(ms == -1);
	}
}

Test(duration, for_people)
{
	static const struct {
		int64_t ms;
		const char *text;
	} rows[] = {
		{0, "0 ms"},
		{999, "999 ms"},
		{1000, "1.0 s"},
		{1500, "1.5 s"},
		{59949, "59.9 s"},
		{59950, "1 min 0 s"},
		{123000, "2 min 3 s"},
		{3599499, "59 min 59 s"},
		{3599500, "1 h 0 min"},
		{11040000, "3 h 4 min"},
		{190800000, "2 d 5 h"},
		{-1500, "-1.5 s"},
		{INT64_MIN, "-106751991167 d 7 h"},
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		char text[DURATION_TEXT];
		duration_format(rows[i].ms, text);
		cr_expect_str_eq(text, rows[i].text);
	}
}
