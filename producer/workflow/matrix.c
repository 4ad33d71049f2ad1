#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "workflow/yaml_file.h"

void matrix_release(struct matrix *matrix)
{
	for (size_t i = 0; i < matrix->count; i++) {
		for (size_t k = 0; matrix->made[i] && k < matrix->lists[i]->count; k++) {
			if (matrix->made[i][k])
				free(matrix->made[i][k]->text);
			free(matrix->made[i][k]);
		}
		free(matrix->made[i]);
		free(matrix->vars[i].name);
	}
	free(matrix->vars);
	free(matrix->at);
	free(matrix->lists);
	free(matrix->made);
	*matrix = (struct matrix){0};
}

/* An item with placeholders becomes a node of its own: what a lone one stands for (whose children it borrows), or text,
 * quoted so that it stays text. */
static int fill_item(const struct scope *scope, const struct yaml_node *item, struct yaml_node **ret, struct err *err)
{
	CLEANUP(buf_release) struct buf text = BUF_INIT;
	const struct yaml_node *node;
	bool raw;
	int r;

	*ret = NULL;
	if (item->kind != YAML_SCALAR || (!memchr(item->text, '{', item->len) && !memchr(item->text, '}', item->len)))
		return 0;
	r = scope_resolve(scope, item, &node, &raw, err);
	if (r == 0 && !raw)
		r = scope_text(scope, item, &text, err);
	if (r < 0)
		return r;
	*ret = xmalloc(sizeof **ret);
	**ret = *node;
	if (raw) {
		(*ret)->text = node->text ? xmemdup0(node->text, node->len) : NULL;
		return 0;
	}
	(*ret)->quoted = true;
	(*ret)->len = text.len;
	(*ret)->text = buf_detach(&text);
	return 0;
}

static int read_var(const struct scope *scope, const struct yaml_node *item, struct matrix *matrix, struct err *err)
{
	const struct yaml_node *list;
	size_t i = matrix->count;
	bool raw;
	int r;

	if (!placeholder_name_valid(item->key, strlen(item->key)))
		return yaml_error(err, item, "matrix: %s can be no variable: use letters, digits, _ - and .",
				  item->key);
	r = scope_resolve(scope, item, &list, &raw, err);
	if (r < 0)
		return r;
	if (list->kind != YAML_SEQ)
		return yaml_error(err, item, "matrix: %s has to be a list of values, such as [1, 2]", item->key);
	if (!list->count)
		return yaml_error(err, item, "matrix: %s is empty, so no job would be made: give it a value",
				  item->key);
	if (list->count > PLAN_MAX_JOBS / matrix->members)
		return yaml_error(err, item, "matrix: more than %zu jobs: take values out", PLAN_MAX_JOBS);
	matrix->members *= list->count;
	matrix->vars[i].name = xstrdup(item->key);
	matrix->lists[i] = list;
	matrix->made[i] = xcalloc(list->count, sizeof *matrix->made[i]);
	matrix->count++;
	for (size_t k = 0; k < list->count && !raw; k++) {
		r = fill_item(scope, list->items[k], &matrix->made[i][k], err);
		if (r < 0)
			return r;
	}
	return 0;
}

int matrix_read(const struct reader *reader, const struct yaml_node *node, struct matrix *ret, struct err *err)
{
	struct scope scope = {.sets = reader->sets};
	struct matrix matrix = {.members = 1};
	int r = 0;

	if (node->kind != YAML_MAP)
		return yaml_error(err, node, "matrix has to be a map of lists, such as { lr: [0.1, 0.01] }");
	if (!node->count)
		return yaml_error(err, node, "matrix is empty, so no job would be made: give it a variable");
	matrix.vars = xcalloc(node->count, sizeof *matrix.vars);
	matrix.at = xcalloc(node->count, sizeof *matrix.at);
	matrix.lists = xcalloc(node->count, sizeof *matrix.lists);
	matrix.made = xcalloc(node->count, sizeof *matrix.made);
	for (size_t i = 0; i < node->count && r == 0; i++)
		r = read_var(&scope, node->items[i], &matrix, err);
	if (r < 0)
		matrix_release(&matrix);
	else
		*ret = matrix;
	return r;
}

void matrix_select(struct matrix *matrix, size_t index)
{
	for (size_t i = matrix->count; i-- > 0;) {
		size_t k = index % matrix->lists[i]->count;
		index /= matrix->lists[i]->count;
		matrix->at[i] = k;
		matrix->vars[i].node = matrix->made[i][k] ? matrix->made[i][k] : matrix->lists[i]->items[k];
	}
}

int matrix_name(const struct matrix *matrix, const char *base, struct buf *ret, struct err *err)
{
	CLEANUP(buf_release) struct buf value = BUF_INIT;
	int r = 0;

	buf_adds(ret, base);
	for (size_t i = 0; i < matrix->count && r == 0; i++) {
		buf_reset(&value);
		r = binding_text(matrix->vars[i].node, &value, err);
		for (size_t k = 0; k < value.len; k++)
			if (!value.data[k])
				value.data[k] = '_';
		buf_addf(ret, "%s%s=%s", i ? "," : ".", matrix->vars[i].name, value.data ? value.data : "");
	}
	if (ret->data)
		name_clean(ret->data, true);
	return r;
}
