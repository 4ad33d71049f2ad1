#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "job/json.h"
#include "job/yaml_pack.h"
#include "workflow/pack.h"
#include "workflow/plan.h"
#include "workflow/scope.h"

bool placeholder_name_valid(const char *name, size_t len)
{
	if (!len || (*name >= '0' && *name <= '9') || *name == '-' || *name == '.')
		return false;
	for (size_t i = 0; i < len; i++)
		if (!((name[i] >= 'A' && name[i] <= 'Z') || (name[i] >= 'a' && name[i] <= 'z') ||
		      (name[i] >= '0' && name[i] <= '9') || name[i] == '_' || name[i] == '-' || name[i] == '.'))
			return false;
	return true;
}

static int set_read(const char *text, struct sets *ret, struct err *err)
{
	const char *equals = strchr(text, '=');
	CLEANUP(freep) char *name = NULL;
	CLEANUP(buf_release) struct buf label = BUF_INIT;
	struct yaml_node *root;

	if (!equals || !placeholder_name_valid(text, (size_t)(equals - text)))
		return err_set(err, ERR_USAGE, "--set %s: write NAME=VALUE, the name of letters, digits, _ - and .",
			       text);
	name = xmemdup0(text, (size_t)(equals - text));
	for (size_t i = 0; i < ret->count; i++)
		if (!strcmp(ret->items[i].name, name))
			return err_set(err, ERR_USAGE, "--set %s is given twice: keep one", name);
	buf_addf(&label, "--set %s", name);
	if (yaml_parse(equals + 1, strlen(equals + 1), label.data, &root, err) < 0) {
		err->code = ERR_USAGE;
		return ERR_USAGE;
	}
	ret->roots[ret->count] = root;
	ret->items[ret->count++] = (struct binding){.name = TAKE_PTR(name), .node = root};
	return 0;
}

int sets_read(const struct workflow_options *options, struct sets *ret, struct err *err)
{
	struct sets sets = {0};
	int r = 0;

	sets.items = xcalloc(options->set_count, sizeof *sets.items);
	sets.roots = xcalloc(options->set_count, sizeof *sets.roots);
	for (size_t i = 0; i < options->set_count && r == 0; i++)
		r = set_read(options->sets[i], &sets, err);
	if (r < 0)
		sets_release(&sets);
	else
		*ret = sets;
	return r;
}

void sets_release(struct sets *sets)
{
	for (size_t i = 0; i < sets->count; i++) {
		free(sets->items[i].name);
		yaml_node_freep(&sets->roots[i]);
	}
	free(sets->items);
	free(sets->roots);
	*sets = (struct sets){0};
}

int sets_all_used(const struct sets *sets, const char *file, struct err *err)
{
	for (size_t i = 0; i < sets->count; i++)
		if (!sets->items[i].used)
			return err_set(err, ERR_USAGE,
				       "--set %s: no {%s} in %s asks for it; mend the name or leave it out",
				       sets->items[i].name, sets->items[i].name, file);
	return 0;
}

static struct binding *find(struct binding *items, size_t count, const char *name, size_t len)
{
	for (size_t i = 0; i < count; i++)
		if (!strncmp(items[i].name, name, len) && !items[i].name[len])
			return &items[i];
	return NULL;
}

struct names_at {
	const struct scope *scope;
	size_t next;
};

static const char *next_name(void *data)
{
	struct names_at *at = data;
	size_t i = at->next++;

	if (i < at->scope->var_count)
		return at->scope->vars[i].name;
	i -= at->scope->var_count;
	return i < at->scope->sets->count ? at->scope->sets->items[i].name : NULL;
}

static int not_filled(const struct scope *scope, const struct yaml_node *node, const char *text, size_t len,
		      struct err *err)
{
	CLEANUP(freep) char *name = xmemdup0(text, len);
	struct names_at at = {.scope = scope};
	const char *near = nearest_name(name, next_name, &at);

	if (near)
		return yaml_error(err, node, "nothing fills {%s}; is {%s} meant?", name, near);
	if (!strcmp(name, "run") || !strcmp(name, "id"))
		return yaml_error(err, node, "nothing fills {%s}: a job finds it in its environment, as FLOTILLA_%s",
				  name, *name == 'r' ? "RUN" : "ID");
	return yaml_error(err, node, "nothing fills {%s}: give --set %s=VALUE, or a matrix variable of that name", name,
			  name);
}

/* The placeholder whose `{` is at `text`; `*used` is the length with both braces. */
static int placeholder(const struct scope *scope, const struct yaml_node *node, const char *text, size_t left,
		       struct binding **ret, size_t *used, struct err *err)
{
	const char *end = memchr(text, '}', left);
	size_t len = end ? (size_t)(end - text) - 1 : 0;

	if (!end || !placeholder_name_valid(text + 1, len))
		return yaml_error(err, node, "a { that begins no placeholder such as {name}: for a brace write {{");
	*ret = find(scope->vars, scope->var_count, text + 1, len);
	if (!*ret)
		*ret = find(scope->sets->items, scope->sets->count, text + 1, len);
	if (!*ret)
		return not_filled(scope, node, text + 1, len, err);
	(*ret)->used = true;
	*used = len + 2;
	return 0;
}

static bool has_braces(const struct yaml_node *node)
{
	return node->kind == YAML_SCALAR && (memchr(node->text, '{', node->len) || memchr(node->text, '}', node->len));
}

int scope_resolve(const struct scope *scope, const struct yaml_node *node, const struct yaml_node **ret, bool *raw,
		  struct err *err)
{
	struct binding *binding;
	size_t used;
	int r;

	*ret = node;
	*raw = false;
	if (!has_braces(node) || node->len < 3 || node->text[0] != '{' || node->text[1] == '{' ||
	    memchr(node->text, '}', node->len) != node->text + node->len - 1)
		return 0;
	r = placeholder(scope, node, node->text, node->len, &binding, &used, err);
	if (r < 0)
		return r;
	*ret = binding->node;
	*raw = true;
	return 0;
}

int binding_text(const struct yaml_node *node, struct buf *ret, struct err *err)
{
	CLEANUP(buf_release) struct buf packed = BUF_INIT;
	msgpack_unpacked unpacked;
	int r;

	if (node->kind == YAML_SCALAR) {
		buf_add(ret, node->text, node->len);
		return 0;
	}
	r = yaml_to_msgpack(node, &packed, err);
	if (r < 0)
		return r;
	msgpack_unpacked_init(&unpacked);
	if (msgpack_unpack_next(&unpacked, packed.data, packed.len, NULL) != MSGPACK_UNPACK_SUCCESS)
		r = yaml_error(err, node, "this value is nested too deep");
	else
		r = msgpack_to_json(&unpacked.data, ret, err);
	msgpack_unpacked_destroy(&unpacked);
	return r;
}

/* Text with its placeholders filled and its doubled braces made one. */
static int fill(const struct scope *scope, const struct yaml_node *node, struct buf *ret, struct err *err)
{
	const char *text = node->text;
	int r = 0;

	for (size_t i = 0; i < node->len && r == 0;) {
		struct binding *binding;
		size_t used = 1;

		if (text[i] != '{' && text[i] != '}') {
			buf_add(ret, text + i, 1);
		} else if (i + 1 < node->len && text[i + 1] == text[i]) {
			buf_add(ret, text + i, 1);
			used = 2;
		} else if (text[i] == '}') {
			return yaml_error(err, node, "a } that ends no placeholder: for a brace write }}");
		} else {
			r = placeholder(scope, node, text + i, node->len - i, &binding, &used, err);
			if (r == 0)
				r = binding_text(binding->node, ret, err);
		}
		i += used;
	}
	return r;
}

int scope_text(const struct scope *scope, const struct yaml_node *node, struct buf *ret, struct err *err)
{
	if (node->kind != YAML_SCALAR)
		return yaml_error(err, node, "this is %s, text is wanted", yaml_describe(node));
	return fill(scope, node, ret, err);
}

static int pack_scalar(const struct scope *scope, const struct yaml_node *node, bool raw, bool text, struct buf *ret,
		       struct err *err)
{
	CLEANUP(buf_release) struct buf filled = BUF_INIT;
	const struct yaml_node *lone;
	msgpack_packer packer;
	int r;

	if (!raw && has_braces(node)) {
		r = scope_resolve(scope, node, &lone, &raw, err);
		if (r < 0)
			return r;
		if (raw && (!text || lone->kind == YAML_SCALAR))
			return scope_pack(scope, lone, true, text, ret, err);
		r = raw ? binding_text(lone, &filled, err) : fill(scope, node, &filled, err);
		if (r < 0)
			return r;
	} else if (!text) {
		return yaml_to_msgpack(node, ret, err);
	} else if (yaml_scalar_type(node, NULL) == YAML_TYPE_NULL) {
		return yaml_error(err, node, "nothing (null) where text is wanted: quote it, or leave it out");
	} else {
		buf_add(&filled, node->text, node->len);
	}
	pack_init(&packer, ret);
	pack_text_len(&packer, filled.data ? filled.data : "", filled.len);
	return 0;
}

int scope_pack(const struct scope *scope, const struct yaml_node *node, bool raw, bool text, struct buf *ret,
	       struct err *err)
{
	msgpack_packer packer;
	int r = 0;

	if (node->kind == YAML_SCALAR)
		return pack_scalar(scope, node, raw, text, ret, err);
	pack_init(&packer, ret);
	if (node->kind == YAML_SEQ)
		msgpack_pack_array(&packer, node->count);
	else
		msgpack_pack_map(&packer, node->count);
	for (size_t i = 0; i < node->count && r == 0; i++) {
		if (node->kind == YAML_MAP)
			pack_text(&packer, node->items[i]->key);
		r = scope_pack(scope, node->items[i], raw, text, ret, err);
	}
	return r;
}
