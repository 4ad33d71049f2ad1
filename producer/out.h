/* What people see: columns, colours where there is a terminal, JSON. */
#ifndef FLOTILLA_PRODUCER_OUT_H
#define FLOTILLA_PRODUCER_OUT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "base/buf.h"

/* Whether escape sequences may be written there: a terminal that is not dumb, and no NO_COLOR. */
bool out_fancy(FILE *file);
/* How many columns the terminal has; 80 where that cannot be told. Rows likewise, 24. */
int out_columns(FILE *file);
int out_rows(FILE *file);

/* The escape sequences around a state's name; "" where `fancy` is false. */
const char *out_state_color(const char *state, bool fancy);
const char *out_plain(bool fancy);
const char *out_bold(bool fancy);

/* Strangers' text for a terminal: control characters but newline and tab become '?'; with `line`, these as well become
 * blanks. Appends. */
void out_clean(struct buf *ret, const char *text, size_t len, bool line);

/* Prints a value on one line and releases it. */
void out_json(json_t *value, FILE *file);

/* A table: cells are added row by row, the first row is the head. Columns are as wide as their widest cell. */
struct table {
	size_t columns, count;
	char **cells;
	bool fancy;        /* bold head, states in colour */
	size_t state;      /* the column that holds a state; beyond the end: none */
	const char *right; /* for each column 'r' (right) or anything else (left); NULL: all left */
};
/* `text` is copied, cleaned. */
void table_add(struct table *table, const char *text);
void table_addf(struct table *table, const char *format, ...) __attribute__((format(printf, 2, 3)));
void table_write(const struct table *table, struct buf *ret);
void table_print(const struct table *table, FILE *file);
void table_release(struct table *table);

#endif
