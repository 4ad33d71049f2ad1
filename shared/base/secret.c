#include "base/secret.h"

#include <string.h>

void secret_hide(char *url)
{
	char *authority = strstr(url, "://");
	char *colon = authority ? strchr(authority + 3, ':') : NULL;
	char *end = colon ? strrchr(colon, '@') : NULL;

	/* The last @: more is hidden than has to be where there is one in a path. */
	while (end && ++colon < end)
		*colon = '*';
}
