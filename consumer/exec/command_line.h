/* Command lines with placeholders, of the handlers file. */
#ifndef FLOTILLA_CONSUMER_EXEC_COMMAND_LINE_H
#define FLOTILLA_CONSUMER_EXEC_COMMAND_LINE_H

#include "exec/internal.h"
#include "exec/process.h"

/* At load: whether no job could choose with it what runs. `options`: the handler says that values may be options.
 * ERR_INPUT in words; the argument it is about is in *ret_at. */
int command_line_check(char *const *argv, bool options, size_t *ret_at, struct err *err);

/* The handler's command, filled in for an attempt whose directory is `dir`; to process_argv_free(). ERR_INPUT in words
 * where the job lacks a value, or has one that must not stand there. */
int command_line_fill(const struct attempt *attempt, const char *dir, char ***ret, struct err *err);

#endif
