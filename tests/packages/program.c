/* A program outside of the tree, on what libflotilla-dev offers. */
#include <flotilla/flotilla.h>
#include <stdio.h>
#include <string.h>

int main(void)
{
	static const char good[] = "{\"task\": \"noop\", \"id\": \"a\"}", bad[] = "{\"task\": 7}";
	char error[200] = "";

	if (strcmp(flotilla_version(), FLOTILLA_VERSION) != 0)
		return 1;
	if (flotilla_check_job(good, sizeof good - 1, NULL, error, sizeof error) != 0)
		return 2;
	if (flotilla_check_job(bad, sizeof bad - 1, NULL, error, sizeof error) != -1 || !strstr(error, "task"))
		return 3;
	puts(error);
	return 0;
}
