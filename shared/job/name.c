#include <string.h>

#include "job/job.h"

static bool lower_or_digit(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }

static bool id_char(char c) { return lower_or_digit(c) || (c >= 'A' && c <= 'Z') || (c && strchr("._/@+=,-", c)); }

bool job_id_valid(const char *id, size_t len)
{
	if (len < 1 || len > 200)
		return false;
	for (size_t i = 0; i < len; i++)
		if (!id_char(id[i]))
			return false;
	return true;
}

bool job_pool_valid(const char *pool, size_t len)
{
	if (len < 1 || len > 63 || !lower_or_digit(pool[0]))
		return false;
	for (size_t i = 1; i < len; i++)
		if (!lower_or_digit(pool[i]) && pool[i] != '_' && pool[i] != '-')
			return false;
	return true;
}
