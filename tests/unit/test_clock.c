#include <criterion/criterion.h>
#include <string.h>

#include "base/clock.h"

Test(clock, never_backwards)
{
	int64_t last = clock_mono_ms();

	for (int i = 0; i < 1000; i++) {
		int64_t now = clock_mono_ms();
		cr_assert(now >= last);
		last = now;
	}
	cr_expect(clock_wall_ms() > INT64_C(1600000000000));
}

Test(clock, chance)
{
	char a[129], b[129];

	random_hex(a, 64);
	random_hex(b, 64);
	cr_expect(strlen(a) == 128 && strspn(a, "0123456789abcdef") == 128);
	cr_expect_str_neq(a, b);
	for (int i = 0; i < 1000; i++) {
		int64_t n = random_between(-3, 3);
		cr_assert(n >= -3 && n <= 3);
	}
	cr_expect(random_between(5, 5) == 5);
}

Test(clock, backoff_doubles_up_to_its_maximum)
{
	for (int i = 0; i < 100; i++) {
		int64_t first = backoff_ms(1000, 300000, 0), third = backoff_ms(1000, 300000, 2);
		int64_t late = backoff_ms(1000, 300000, 4000000000U);
		cr_assert(first >= 500 && first <= 1000);
		cr_assert(third >= 2000 && third <= 4000);
		cr_assert(late >= 150000 && late <= 300000);
	}
	cr_expect(backoff_ms(0, 0, 10) == 0);
}
