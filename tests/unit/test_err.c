#include <criterion/criterion.h>
#include <string.h>

#include "base/err.h"

Test(err, words_and_classes)
{
	struct err err;

	cr_expect(err_set(&err, ERR_INPUT, "field %d", 7) == ERR_INPUT);
	cr_expect(err_prefix(&err, "line %d", 3) == ERR_INPUT);
	cr_expect_str_eq(err.text, "line 3: field 7");
	cr_expect_str_eq(err_name(ERR_SERVICE), "ERR_SERVICE");
	cr_expect(err_class(ERR_SERVICE) == ERR_RETRY);
	cr_expect(err_class(ERR_INPUT) == ERR_BAD);
	cr_expect(err_class(12345) == ERR_FATAL);
	cr_expect_str_eq(err_name(12345), "ERR_UNKNOWN");
}

Test(err, what_it_was_may_be_among_the_arguments)
{
	struct err err;

	err_set(&err, ERR_SERVICE, "no route");
	err_set(&err, ERR_SERVICE, "the server cannot be reached: %s; is it there?", err.text);
	cr_expect_str_eq(err.text, "the server cannot be reached: no route; is it there?");
}

Test(err, exit_codes)
{
	cr_expect(err_exit_code(ERR_USAGE) == 2);
	cr_expect(err_exit_code(ERR_INPUT) == 2);
	cr_expect(err_exit_code(ERR_REFUSED) == 2);
	cr_expect(err_exit_code(ERR_SERVICE) == 3);
	cr_expect(err_exit_code(ERR_NOT_FOUND) == 4);
	cr_expect(err_exit_code(ERR_TIMEOUT) == 124);
	cr_expect(err_exit_code(ERR_NOMEM) == 1);
}

Test(err, long_text_is_cut)
{
	struct err err;
	char text[1024];

	memset(text, 'x', sizeof text - 1);
	text[sizeof text - 1] = '\0';
	err_set(&err, ERR_INPUT, "%s", text);
	cr_expect(strlen(err.text) == sizeof err.text - 1);
	err_prefix(&err, "%s", text);
	cr_expect(strlen(err.text) == sizeof err.text - 1);
	err_prefix(&err, "here");
	cr_expect(strncmp(err.text, "here: xxx", 9) == 0);
	cr_expect(strlen(err.text) == sizeof err.text - 1);
}

Test(err, whatever_is_in_it_it_stays_one_line)
{
	struct err err;

	err_set(&err, ERR_INPUT, "unknown field %s", "a\nb\r\tc\x1b[2J\x7f\xc3\xa9");
	cr_expect_str_eq(err.text, "unknown field a?b??c?[2J?\xc3\xa9");
	err_prefix(&err, "%s", "x\ny");
	cr_expect_str_eq(err.text, "x?y: unknown field a?b??c?[2J?\xc3\xa9");
	err_set(&err, ERR_INPUT, "not \"%.4s\"", "abc\xc3\xa9");
	cr_expect_str_eq(err.text, "not \"abc?\"");
	err_set(&err, ERR_INPUT, "not \xff\xc3");
	cr_expect_str_eq(err.text, "not ??");
}
