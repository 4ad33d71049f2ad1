/* Errors.
 *
 * A function that can fail returns int: 0, or one of the negative codes below. Where a person will read the cause it
 * also takes a `struct err *` (never NULL) and fills it: what went wrong, where, and what to do, on one line. Each code
 * has a class, which is what callers switch on: RETRY (try again later), BAD (the input is wrong, for ever), FATAL
 * (this process cannot go on).
 */
#ifndef FLOTILLA_BASE_ERR_H
#define FLOTILLA_BASE_ERR_H

#include <stddef.h>

enum err_class { ERR_RETRY, ERR_BAD, ERR_FATAL };

/* code, message, class: to add an error, add a line. */
#define ERR_MAP(X)                                                                                                     \
	X(ERR_NOMEM, -1, "out of memory", ERR_FATAL)                                                                   \
	X(ERR_INPUT, -2, "bad input", ERR_BAD)                                                                         \
	X(ERR_USAGE, -3, "bad usage", ERR_BAD)                                                                         \
	X(ERR_SERVICE, -4, "a service cannot be reached", ERR_RETRY)                                                   \
	X(ERR_REFUSED, -5, "a service refused", ERR_FATAL)                                                             \
	X(ERR_NOT_FOUND, -6, "not found", ERR_BAD)                                                                     \
	X(ERR_TIMEOUT, -7, "timed out", ERR_RETRY)                                                                     \
	X(ERR_SYSTEM, -8, "a system call failed", ERR_RETRY)                                                           \
	X(ERR_FULL, -9, "a service is full", ERR_RETRY)                                                                \
	X(ERR_AGAIN, -10, "nothing to read yet", ERR_RETRY)

enum err_code {
#define X(name, value, message, class) name = value,
	ERR_MAP(X)
#undef X
};

/* A cause in words. `text` is always NUL-terminated; a longer one is cut; control
 * characters, and bytes that are no UTF-8, become `?`. */
struct err {
	int code;
	char text[512];
};

/* Fills `err` and returns `code`, so that `return err_set(err, ERR_INPUT, "...")` reads well. What it was before may be
 * among the arguments. */
int err_set(struct err *err, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Puts "context: " before the text there is; returns the code there is. */
int err_prefix(struct err *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The name, the general message and the class of a code; an unknown code is "ERR_UNKNOWN", FATAL. */
const char *err_name(int code);
const char *err_message(int code);
enum err_class err_class(int code);

/* The exit code of the programs for an error (contract, section 6): 2 bad usage or input, 3 a service cannot be
 * reached, 4 not found, 124 a wait's timeout, 1 else. A service that refuses (wrong password, queue declared otherwise)
 * is 2. */
int err_exit_code(int code);

#endif
