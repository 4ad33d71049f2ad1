/* What placeholders stand for: a job's matrix variables, then the values of --set. Private to this directory. */
#ifndef FLOTILLA_PRODUCER_WORKFLOW_SCOPE_H
#define FLOTILLA_PRODUCER_WORKFLOW_SCOPE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/yaml.h"
#include "workflow/workflow.h"

struct binding {
	char *name;
	const struct yaml_node *node; /* taken as it stands: its own braces are no placeholders */
	bool used;
};

struct sets {
	struct binding *items;
	struct yaml_node **roots; /* the items' nodes, owned */
	size_t count;
};

struct scope {
	struct binding *vars; /* the matrix's, for one of its members */
	size_t var_count;
	struct sets *sets;
};

/* Reads the values of --set. ERR_USAGE for what is no NAME=VALUE, a name twice or a value that is no YAML. */
int sets_read(const struct workflow_options *options, struct sets *ret, struct err *err);
void sets_release(struct sets *sets);
/* ERR_USAGE if there is one that no placeholder asked for. */
int sets_all_used(const struct sets *sets, const char *file, struct err *err);

/* Whether a placeholder may be called that. */
bool placeholder_name_valid(const char *name, size_t len);

/* A node that is nothing but a placeholder gives way to what that stands for; `*raw` then says that no placeholders
 * are looked for in it. Any other node stays. ERR_INPUT with the line for a placeholder that nothing fills. */
int scope_resolve(const struct scope *scope, const struct yaml_node *node, const struct yaml_node **ret, bool *raw,
		  struct err *err);

/* Appends a scalar as text, with its placeholders filled. ERR_INPUT where it is a list or a map. */
int scope_text(const struct scope *scope, const struct yaml_node *node, struct buf *ret, struct err *err);

/* The same for the node of a binding, as it was written; a list or a map becomes JSON. */
int binding_text(const struct yaml_node *node, struct buf *ret, struct err *err);

/* Appends a node as MessagePack, with its placeholders filled. With `text`, every scalar in it becomes text, as it is
 * written in the file. `raw`: as scope_resolve left it. */
int scope_pack(const struct scope *scope, const struct yaml_node *node, bool raw, bool text, struct buf *ret,
	       struct err *err);

#endif
