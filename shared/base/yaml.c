/* YAML to a tree (base/yaml.h): libyaml's events, composed by recursion no deeper than YAML_MAX_DEPTH. */
#include "base/yaml.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <yaml.h>

#include "base/buf.h"
#include "base/cleanup.h"

struct loader {
	yaml_parser_t parser;
	yaml_event_t event; /* the one looked at; valid where has_event */
	bool has_event;
	const char *file;
	struct err *err;
};

static int load_node(struct loader *loader, int depth, struct yaml_node **ret);

static int fail(struct loader *loader, size_t line, const char *what)
{
	err_set(loader->err, ERR_INPUT, "%s:%zu: %s", loader->file, line, what);
	return ERR_INPUT;
}

static int fail_parser(struct loader *loader)
{
	const yaml_parser_t *parser = &loader->parser;
	const char *problem = parser->problem ? parser->problem : "cannot be read as YAML";

	if (parser->error == YAML_MEMORY_ERROR)
		return err_set(loader->err, ERR_NOMEM, "%s: out of memory", loader->file);
	if (parser->error == YAML_READER_ERROR)
		return err_set(loader->err, ERR_INPUT, "%s: %s at byte %zu", loader->file, problem,
			       parser->problem_offset);
	if (parser->context)
		return err_set(loader->err, ERR_INPUT, "%s:%zu: %s, %s", loader->file, parser->problem_mark.line + 1,
			       problem, parser->context);
	return fail(loader, parser->problem_mark.line + 1, problem);
}

static int next(struct loader *loader)
{
	if (loader->has_event)
		yaml_event_delete(&loader->event);
	loader->has_event = false;
	if (!yaml_parser_parse(&loader->parser, &loader->event))
		return fail_parser(loader);
	loader->has_event = true;
	return 0;
}

static struct yaml_node *new_node(const struct loader *loader, enum yaml_kind kind)
{
	struct yaml_node *node = xcalloc(1, sizeof *node);
	node->kind = kind;
	node->line = (int)loader->event.start_mark.line + 1;
	node->column = (int)loader->event.start_mark.column + 1;
	node->file = loader->file;
	return node;
}

static void free_node(struct yaml_node *node)
{
	if (!node)
		return;
	for (size_t i = 0; i < node->count; i++)
		free_node(node->items[i]);
	free(node->items);
	free(node->text);
	free(node->key);
	free(node);
}

static void free_nodep(struct yaml_node **node) { free_node(*node); }

/* A few aliases of aliases make a tree of gigabytes. */
static int fail_alias(struct loader *loader)
{
	return fail(loader, loader->event.start_mark.line + 1,
		    "anchors (&name) and aliases (*name) are not taken; write the value out");
}

static int refuse_anchor(struct loader *loader, const yaml_char_t *anchor) { return anchor ? fail_alias(loader) : 0; }

static int check_tag(struct loader *loader, const yaml_char_t *tag, const char *allowed)
{
	if (!tag || strcmp((const char *)tag, allowed) == 0 || strcmp((const char *)tag, "!") == 0)
		return 0;
	return err_set(loader->err, ERR_INPUT, "%s:%zu: the tag %.60s is not taken; quotes make a value text",
		       loader->file, loader->event.start_mark.line + 1, (const char *)tag);
}

static void add_item(struct yaml_node *node, struct yaml_node *item)
{
	if ((node->count & (node->count - 1)) == 0)
		node->items = xrealloc(node->items, (node->count ? node->count * 2 : 1) * sizeof(struct yaml_node *));
	node->items[node->count++] = item;
}

static int load_scalar(struct loader *loader, struct yaml_node **ret)
{
	if (refuse_anchor(loader, loader->event.data.scalar.anchor) ||
	    check_tag(loader, loader->event.data.scalar.tag, YAML_STR_TAG))
		return ERR_INPUT;
	*ret = new_node(loader, YAML_SCALAR);
	(*ret)->text = xmemdup0(loader->event.data.scalar.value, loader->event.data.scalar.length);
	(*ret)->len = loader->event.data.scalar.length;
	(*ret)->quoted =
		loader->event.data.scalar.style != YAML_PLAIN_SCALAR_STYLE || loader->event.data.scalar.tag != NULL;
	return 0;
}

static int load_seq(struct loader *loader, int depth, struct yaml_node *seq)
{
	for (;;) {
		struct yaml_node *item = NULL;
		int error = next(loader);
		if (error)
			return error;
		if (loader->event.type == YAML_SEQUENCE_END_EVENT)
			return 0;
		error = load_node(loader, depth + 1, &item);
		if (error)
			return error;
		add_item(seq, item);
	}
}

static int load_key(struct loader *loader, char **ret)
{
	size_t line = loader->event.start_mark.line + 1;

	if (loader->event.type == YAML_ALIAS_EVENT)
		return fail_alias(loader);
	if (loader->event.type != YAML_SCALAR_EVENT)
		return fail(loader, line, "a key must be plain text");
	if (refuse_anchor(loader, loader->event.data.scalar.anchor) ||
	    check_tag(loader, loader->event.data.scalar.tag, YAML_STR_TAG))
		return ERR_INPUT;
	if (memchr(loader->event.data.scalar.value, '\0', loader->event.data.scalar.length))
		return fail(loader, line, "a key must not hold a NUL");
	*ret = xmemdup0(loader->event.data.scalar.value, loader->event.data.scalar.length);
	return 0;
}

static int load_pair(struct loader *loader, int depth, struct yaml_node *map)
{
	CLEANUP(freep) char *key = NULL;
	struct yaml_node *value = NULL;
	int line = (int)loader->event.start_mark.line + 1;
	int error = load_key(loader, &key);

	if (!error)
		error = next(loader);
	if (!error)
		error = load_node(loader, depth + 1, &value);
	if (error)
		return error;
	value->key = TAKE_PTR(key);
	value->key_line = line;
	add_item(map, value);
	return 0;
}

/* By key; of one key the first in the file first. */
static int compare_keys(const void *left, const void *right)
{
	const struct yaml_node *a = *(struct yaml_node *const *)left;
	const struct yaml_node *b = *(struct yaml_node *const *)right;
	int order = strcmp(a->key, b->key);
	return order ? order : a->key_line - b->key_line;
}

static int refuse_twice(struct loader *loader, const struct yaml_node *map)
{
	CLEANUP(freep) struct yaml_node **sorted = NULL;

	if (map->count < 2)
		return 0;
	sorted = xmalloc(map->count * sizeof(struct yaml_node *));
	memcpy(sorted, map->items, map->count * sizeof(struct yaml_node *));
	qsort(sorted, map->count, sizeof(struct yaml_node *), compare_keys);
	for (size_t i = 1; i < map->count; i++)
		if (strcmp(sorted[i - 1]->key, sorted[i]->key) == 0)
			return err_set(loader->err, ERR_INPUT, "%s:%d: the key `%.100s` stands twice, first on line %d",
				       loader->file, sorted[i]->key_line, sorted[i]->key, sorted[i - 1]->key_line);
	return 0;
}

static int load_map(struct loader *loader, int depth, struct yaml_node *map)
{
	for (;;) {
		int error = next(loader);
		if (error)
			return error;
		if (loader->event.type == YAML_MAPPING_END_EVENT)
			return refuse_twice(loader, map);
		error = load_pair(loader, depth, map);
		if (error)
			return error;
	}
}

static int load_container(struct loader *loader, int depth, struct yaml_node **ret)
{
	CLEANUP(free_nodep) struct yaml_node *node = NULL;
	bool is_seq = loader->event.type == YAML_SEQUENCE_START_EVENT;
	const yaml_event_t *event = &loader->event;
	int error;

	if (refuse_anchor(loader, is_seq ? event->data.sequence_start.anchor : event->data.mapping_start.anchor) ||
	    check_tag(loader, is_seq ? event->data.sequence_start.tag : event->data.mapping_start.tag,
		      is_seq ? YAML_SEQ_TAG : YAML_MAP_TAG))
		return ERR_INPUT;
	if (depth > YAML_MAX_DEPTH)
		return fail(loader, event->start_mark.line + 1, "nested deeper than 64 levels");
	node = new_node(loader, is_seq ? YAML_SEQ : YAML_MAP);
	error = is_seq ? load_seq(loader, depth, node) : load_map(loader, depth, node);
	if (!error)
		*ret = TAKE_PTR(node);
	return error;
}

/* The node that begins with the event looked at. */
static int load_node(struct loader *loader, int depth, struct yaml_node **ret)
{
	switch (loader->event.type) {
	case YAML_SCALAR_EVENT: return load_scalar(loader, ret);
	case YAML_SEQUENCE_START_EVENT:
	case YAML_MAPPING_START_EVENT: return load_container(loader, depth, ret);
	case YAML_ALIAS_EVENT: return fail_alias(loader);
	default: return fail(loader, loader->event.start_mark.line + 1, "a value is missing");
	}
}

static int load_document(struct loader *loader, struct yaml_node **ret)
{
	int error = next(loader); /* the stream's start */

	if (!error)
		error = next(loader);
	if (error)
		return error;
	if (loader->event.type == YAML_STREAM_END_EVENT) {
		*ret = new_node(loader, YAML_SCALAR);
		(*ret)->text = xstrdup("");
		return 0;
	}
	error = next(loader);
	if (!error)
		error = load_node(loader, 1, ret);
	if (!error)
		error = next(loader); /* the document's end */
	if (!error)
		error = next(loader);
	if (!error && loader->event.type != YAML_STREAM_END_EVENT)
		error = fail(loader, loader->event.start_mark.line + 1, "a second document; one is taken");
	return error;
}

int yaml_parse(const char *text, size_t len, const char *name, struct yaml_node **ret, struct err *err)
{
	CLEANUP(freep) char *file = xstrdup(name);
	struct loader loader = {.file = file, .err = err};
	struct yaml_node *root = NULL;
	int error;

	if (!yaml_parser_initialize(&loader.parser))
		return err_set(err, ERR_NOMEM, "%s: out of memory", name);
	yaml_parser_set_input_string(&loader.parser, (const unsigned char *)text, len);
	error = load_document(&loader, &root);
	if (loader.has_event)
		yaml_event_delete(&loader.event);
	yaml_parser_delete(&loader.parser);
	if (error) {
		free_node(root);
		return error;
	}
	(void)TAKE_PTR(file); /* every node points to it; yaml_node_free frees it */
	*ret = root;
	return 0;
}

static int read_all(int fd, const char *name, struct buf *ret, struct err *err)
{
	for (;;) {
		ssize_t got;
		buf_grow(ret, 65536);
		got = read(fd, ret->data + ret->len, 65536);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return err_set(err, ERR_INPUT, "%s: cannot be read: %s", name, strerror(errno));
		if (got == 0)
			return 0;
		ret->len += (size_t)got;
		if (ret->len > YAML_MAX_FILE)
			return err_set(err, ERR_INPUT, "%s: larger than %d MiB", name, YAML_MAX_FILE >> 20);
	}
}

int yaml_load(const char *path, struct yaml_node **ret, struct err *err)
{
	bool standard = strcmp(path, "-") == 0;
	const char *name = standard ? "<stdin>" : path;
	CLEANUP(closep) int opened = standard ? -1 : open(path, O_RDONLY | O_CLOEXEC);
	CLEANUP(buf_release) struct buf text = BUF_INIT;
	int error;

	if (!standard && opened < 0)
		return err_set(err, errno == ENOENT ? ERR_NOT_FOUND : ERR_INPUT, "%s: cannot be opened: %s", name,
			       strerror(errno));
	error = read_all(standard ? STDIN_FILENO : opened, name, &text, err);
	return error ? error : yaml_parse(text.data, text.len, name, ret, err);
}

void yaml_node_free(struct yaml_node *root)
{
	if (!root)
		return;
	free((char *)root->file);
	free_node(root);
}

void yaml_node_freep(struct yaml_node **root) { yaml_node_free(*root); }
