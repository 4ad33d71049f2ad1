#include <criterion/criterion.h>
#include <flotilla/flotilla.h>
#include <string.h>

Test(public, the_version_is_that_of_the_headers) { cr_assert_str_eq(flotilla_version(), FLOTILLA_VERSION); }

Test(public, a_good_job_is_taken)
{
	static const char body[] = "{\"task\": \"noop\", \"after\": [\"a\"]}";
	char error[200] = "";

	cr_assert_eq(flotilla_check_job(body, sizeof body - 1, NULL, error, sizeof error), 0, "%s", error);
	cr_assert_eq(flotilla_check_job(body, sizeof body - 1, "application/json; charset=utf-8", NULL, 0), 0);
}

Test(public, a_bad_one_is_told_with_its_field)
{
	static const char body[] = "{\"task\": \"noop\", \"retries\": -1}";
	char error[200] = "";

	cr_assert_eq(flotilla_check_job(body, sizeof body - 1, NULL, error, sizeof error), -1);
	cr_assert(strstr(error, "retries"), "%s", error);
	cr_assert_eq(flotilla_check_job(body, sizeof body - 1, "text/plain", NULL, 0), -1);
}
