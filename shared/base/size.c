#include "base/size.h"

#include <string.h>

static int shift_of(const char *unit)
{
	static const struct {
		const char *name;
		int shift;
	} units[] = {{"", 0}, {"B", 0}, {"KiB", 10}, {"MiB", 20}, {"GiB", 30}, {"TiB", 40}};

	for (size_t i = 0; i < sizeof units / sizeof *units; i++)
		if (strcmp(units[i].name, unit) == 0)
			return units[i].shift;
	return -1;
}

int size_parse(const char *text, int64_t *ret_bytes, struct err *err)
{
	size_t digits = strspn(text, "0123456789");
	int shift = shift_of(text + digits);
	int64_t n = 0;

	if (digits == 0 || shift < 0)
		return err_set(err, ERR_INPUT, "\"%.60s\" is no size; say 4096, 64KiB, 512MiB, 2GiB or 1TiB", text);
	for (size_t i = 0; i < digits; i++) {
		n = n * 10 + (text[i] - '0');
		if (n > SIZE_MAX_BYTES >> shift)
			return err_set(err, ERR_INPUT, "\"%.60s\" is more than 1024TiB", text);
	}
	*ret_bytes = n << shift;
	return 0;
}
