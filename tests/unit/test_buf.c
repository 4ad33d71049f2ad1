#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

Test(buf, grows_and_stays_terminated)
{
	struct buf buf = BUF_INIT;
	char *text;

	for (int i = 0; i < 1000; i++)
		buf_addf(&buf, "%d,", i);
	cr_expect(buf.len == strlen(buf.data));
	cr_expect(strncmp(buf.data, "0,1,2,", 6) == 0);
	buf_reset(&buf);
	cr_expect(buf.len == 0 && buf.data[0] == '\0');
	buf_add(&buf, "a\0b", 3);
	buf_adds(&buf, "c");
	cr_expect(buf.len == 4 && memcmp(buf.data, "a\0bc", 5) == 0);
	text = buf_detach(&buf);
	cr_expect(memcmp(text, "a\0bc", 5) == 0);
	cr_expect(buf.data == NULL && buf.len == 0);
	free(text);
}

Test(buf, nothing_is_a_text_too)
{
	struct buf buf = BUF_INIT;
	char *text = buf_detach(&buf);

	cr_expect_str_eq(text, "");
	free(text);
	buf_add(&buf, NULL, 0);
	cr_expect(buf.len == 0);
	buf_release(&buf);
	buf_release(&buf);
	text = xmemdup0(NULL, 0);
	cr_expect_str_eq(text, "");
	free(text);
	text = xmemdup0("abc", 2);
	cr_expect_str_eq(text, "ab");
	free(text);
}
