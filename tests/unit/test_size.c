#include <criterion/criterion.h>
#include <string.h>

#include "base/size.h"

Test(size, parsed)
{
	static const struct {
		const char *text;
		int64_t bytes;
	} rows[] = {{"0", 0},
		    {"4096", 4096},
		    {"7B", 7},
		    {"64KiB", 65536},
		    {"2GiB", INT64_C(2) << 30},
		    {"1024TiB", SIZE_MAX_BYTES},
		    {"1125899906842624", SIZE_MAX_BYTES}};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct err err = {0};
		int64_t bytes = -1;
		cr_expect(size_parse(rows[i].text, &bytes, &err) == 0, "%s: %s", rows[i].text, err.text);
		cr_expect(bytes == rows[i].bytes, "%s: %lld", rows[i].text, (long long)bytes);
	}
}

Test(size, refused)
{
	static const char *const rows[] = {"",
					   "GiB",
					   "-1",
					   "1.5GiB",
					   "2GB",
					   "2G",
					   "2 MiB",
					   "0x10",
					   "1025TiB",
					   "1125899906842625",
					   "99999999999999999999999"};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct err err = {0};
		int64_t bytes = -1;
		cr_expect(size_parse(rows[i], &bytes, &err) == ERR_INPUT, "%s", rows[i]);
		cr_expect(strstr(err.text, rows[i]) && bytes == -1, "%s", err.text);
	}
}
