/* What stands in a YAML tree: look-ups, the core schema's types, errors (base/yaml.h). */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/yaml.h"

struct yaml_node *yaml_get(const struct yaml_node *map, const char *key)
{
	if (!map || map->kind != YAML_MAP)
		return NULL;
	for (size_t i = 0; i < map->count; i++)
		if (strcmp(map->items[i]->key, key) == 0)
			return map->items[i];
	return NULL;
}

const char *yaml_describe(const struct yaml_node *node)
{
	if (node->kind != YAML_SCALAR)
		return node->kind == YAML_MAP ? "a map" : "a list";
	switch (yaml_scalar_type(node, NULL)) {
	case YAML_TYPE_NULL: return "nothing";
	case YAML_TYPE_BOOL: return "true or false";
	case YAML_TYPE_TEXT: return "text";
	default: return "a number";
	}
}

int yaml_error(struct err *err, const struct yaml_node *node, const char *format, ...)
{
	char text[400];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof text, format, ap);
	va_end(ap);
	return err_set(err, ERR_INPUT, "%s:%d: %s", node->file, node->line, text);
}

static bool one_of(const char *text, const char *const *words)
{
	for (; *words; words++)
		if (strcmp(text, *words) == 0)
			return true;
	return false;
}

static bool all_of(const char *text, const char *set) { return *text && text[strspn(text, set)] == '\0'; }

static const char *behind_sign(const char *text) { return *text == '-' || *text == '+' ? text + 1 : text; }

static bool is_real(const char *text)
{
	static const char digits[] = "0123456789";
	const char *at = behind_sign(text);
	size_t whole = strspn(at, digits), part = 0;

	at += whole;
	if (*at == '.')
		part = strspn(++at, digits);
	at += part;
	if (whole + part == 0)
		return false;
	if (*at == 'e' || *at == 'E')
		return all_of(behind_sign(at + 1), digits);
	return *at == '\0';
}

static enum yaml_type set_integer(const char *text, const char *digits, int base, struct yaml_scalar *ret)
{
	bool negative = *text == '-';
	uint64_t n;

	errno = 0;
	n = strtoull(digits, NULL, base);
	if (errno == ERANGE || (negative && n > (uint64_t)INT64_MAX + 1))
		return YAML_TYPE_HUGE;
	ret->natural = n;
	if (!negative && n > INT64_MAX)
		return YAML_TYPE_UINT;
	ret->integer = negative ? (int64_t)(0 - n) : (int64_t)n;
	return YAML_TYPE_INT;
}

static enum yaml_type type_of(const char *text, struct yaml_scalar *ret)
{
	static const char *const nulls[] = {"", "~", "null", "Null", "NULL", NULL};
	static const char *const trues[] = {"true", "True", "TRUE", NULL};
	static const char *const falses[] = {"false", "False", "FALSE", NULL};
	static const char *const infinities[] = {".inf", ".Inf", ".INF", NULL};
	static const char *const nans[] = {".nan", ".NaN", ".NAN", NULL};

	if (one_of(text, nulls))
		return YAML_TYPE_NULL;
	ret->boolean = one_of(text, trues);
	if (ret->boolean || one_of(text, falses))
		return YAML_TYPE_BOOL;
	if (all_of(behind_sign(text), "0123456789"))
		return set_integer(text, behind_sign(text), 10, ret);
	if (strncmp(text, "0x", 2) == 0 && all_of(text + 2, "0123456789abcdefABCDEF"))
		return set_integer(text, text + 2, 16, ret);
	if (strncmp(text, "0o", 2) == 0 && all_of(text + 2, "01234567"))
		return set_integer(text, text + 2, 8, ret);
	if (is_real(text))
		ret->real = strtod(text, NULL);
	else if (one_of(behind_sign(text), infinities))
		ret->real = *text == '-' ? -INFINITY : INFINITY;
	else if (one_of(text, nans))
		ret->real = NAN;
	else
		return YAML_TYPE_TEXT;
	return YAML_TYPE_REAL;
}

enum yaml_type yaml_scalar_type(const struct yaml_node *node, struct yaml_scalar *ret)
{
	struct yaml_scalar value = {.type = YAML_TYPE_TEXT};

	if (node->kind == YAML_SCALAR && !node->quoted && strlen(node->text) == node->len)
		value.type = type_of(node->text, &value);
	if (ret)
		*ret = value;
	return value.type;
}

int yaml_int(const struct yaml_node *node, const char *what, int64_t min, int64_t max, int64_t *ret, struct err *err)
{
	struct yaml_scalar value;

	if (yaml_scalar_type(node, &value) != YAML_TYPE_INT || value.integer < min || value.integer > max)
		return yaml_error(err, node, "`%s` must be a whole number from %" PRId64 " to %" PRId64 ", not %.60s",
				  what, min, max, node->kind == YAML_SCALAR ? node->text : yaml_describe(node));
	*ret = value.integer;
	return 0;
}

int yaml_bool(const struct yaml_node *node, const char *what, bool *ret, struct err *err)
{
	struct yaml_scalar value;

	if (yaml_scalar_type(node, &value) != YAML_TYPE_BOOL)
		return yaml_error(err, node, "`%s` must be true or false, not %.60s", what,
				  node->kind == YAML_SCALAR ? node->text : yaml_describe(node));
	*ret = value.boolean;
	return 0;
}

int yaml_text(const struct yaml_node *node, const char *what, struct err *err)
{
	if (node->kind != YAML_SCALAR || (!node->quoted && node->len == 0))
		return yaml_error(err, node, "%s must be text, not %s", what, yaml_describe(node));
	if (memchr(node->text, '\0', node->len))
		return yaml_error(err, node, "%s holds a NUL character", what);
	return 0;
}
