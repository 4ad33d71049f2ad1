/* YAML files, read whole into a tree that knows its lines (over libyaml).
 *
 * One document a file. Refused, each with file and line: duplicate keys, keys that are no plain text, anchors and
 * aliases, tags other than !!str, nesting deeper than YAML_MAX_DEPTH, a second document. Nothing here logs; files are
 * read with blocking calls. */
#ifndef FLOTILLA_BASE_YAML_H
#define FLOTILLA_BASE_YAML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define YAML_MAX_DEPTH 64
/* The largest file that is taken, in bytes. */
#define YAML_MAX_FILE (64 << 20)

enum yaml_kind { YAML_SCALAR, YAML_SEQ, YAML_MAP };

/* A node. The children of a map stand in the order of the file, each with its own key. Everything is the root's:
 * yaml_node_free(root) frees it. */
struct yaml_node {
	enum yaml_kind kind;
	int line;         /* from 1 */
	int column;       /* from 1 */
	const char *file; /* the name given, for errors */

	char *text;  /* scalar: NUL-terminated; else NULL */
	size_t len;  /* of text, which may hold NULs where it is quoted */
	bool quoted; /* scalar: quoted, a block (| or >) or !!str, so text whatever it looks like */

	char *key; /* child of a map: its key; else NULL */
	int key_line;

	struct yaml_node **items; /* seq, map: the children */
	size_t count;
};

/* Reads the file `path`; "-" is standard input, called <stdin>. On success `*ret` is the root, the caller's to
 * yaml_node_free(); an empty file is a plain empty scalar (null). ERR_INPUT with "FILE:LINE: ..." for bad YAML,
 * ERR_NOT_FOUND where there is no such file, ERR_INPUT where it cannot be read. */
int yaml_load(const char *path, struct yaml_node **ret, struct err *err);

/* The same of text in memory, called `name` in errors. */
int yaml_parse(const char *text, size_t len, const char *name, struct yaml_node **ret, struct err *err);

/* Frees a tree by its root; NULL is fine. (libyaml itself exports a yaml_free.) */
void yaml_node_free(struct yaml_node *root);
/* For CLEANUP(yaml_node_freep) struct yaml_node *root = NULL. */
void yaml_node_freep(struct yaml_node **root);

/* The child of a map with that key, or NULL (also where `map` is NULL or no map). */
struct yaml_node *yaml_get(const struct yaml_node *map, const char *key);

/* "a map", "a list", "text", "a number" ...: what a node is, for errors. */
const char *yaml_describe(const struct yaml_node *node);

/* Fills `err` with "FILE:LINE: ..." for the node's line and returns ERR_INPUT. */
int yaml_error(struct err *err, const struct yaml_node *node, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* What a scalar is by the rules of YAML 1.2's core schema. Quoted ones are text. UINT: whole, above int64 and within
 * uint64; HUGE: whole and beyond both. */
enum yaml_type {
	YAML_TYPE_NULL,
	YAML_TYPE_BOOL,
	YAML_TYPE_INT,
	YAML_TYPE_UINT,
	YAML_TYPE_HUGE,
	YAML_TYPE_REAL,
	YAML_TYPE_TEXT
};

struct yaml_scalar {
	enum yaml_type type;
	bool boolean;     /* BOOL */
	int64_t integer;  /* INT */
	uint64_t natural; /* UINT */
	double real;      /* REAL; may be NaN or infinite (.nan, .inf) */
};

/* The type of a scalar node; `ret` (may be NULL) gets the value. A node that is no scalar is TEXT. */
enum yaml_type yaml_scalar_type(const struct yaml_node *node, struct yaml_scalar *ret);

/* The scalar as a whole number within [min, max], or as true/false; ERR_INPUT with the line, naming `what`. */
int yaml_int(const struct yaml_node *node, const char *what, int64_t min, int64_t max, int64_t *ret, struct err *err);
int yaml_bool(const struct yaml_node *node, const char *what, bool *ret, struct err *err);
/* Whether it is text without a NUL, and not left out; `node->text` is it then. */
int yaml_text(const struct yaml_node *node, const char *what, struct err *err);

#endif
