#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/yaml.h"
#include "job/json.h"
#include "job/yaml_pack.h"

static struct yaml_node *parse(const char *text)
{
	struct yaml_node *root = NULL;
	struct err err;
	cr_assert(yaml_parse(text, strlen(text), "f.yaml", &root, &err) == 0, "%s", err.text);
	return root;
}

Test(yaml, a_tree_with_lines)
{
	struct yaml_node *root =
		parse("# head\nname: nightly\njobs:\n  a: { task: x, n: [1, \"2\"] }\n  b:\n    c: |\n      t\n");
	struct yaml_node *a = yaml_get(yaml_get(root, "jobs"), "a"), *n = yaml_get(a, "n");

	cr_assert(root->kind == YAML_MAP && root->count == 2);
	cr_expect_str_eq(yaml_get(root, "name")->text, "nightly");
	cr_expect(yaml_get(root, "name")->line == 2);
	cr_expect(a->line == 4 && a->key_line == 4 && a->column == 6);
	cr_expect_str_eq(a->key, "a");
	cr_assert(n->kind == YAML_SEQ && n->count == 2);
	cr_expect(!n->items[0]->quoted && n->items[1]->quoted);
	cr_expect(yaml_get(yaml_get(root, "jobs"), "b")->key_line == 5);
	cr_expect_str_eq(yaml_get(yaml_get(yaml_get(root, "jobs"), "b"), "c")->text, "t\n");
	cr_expect_null(yaml_get(root, "none"));
	cr_expect_null(yaml_get(NULL, "none"));
	cr_expect_null(yaml_get(n, "none"));
	cr_expect_str_eq(yaml_describe(n), "a list");
	yaml_node_free(root);
}

Test(yaml, an_empty_file_is_null)
{
	struct yaml_node *root = parse("# nothing\n");
	cr_expect(root->kind == YAML_SCALAR);
	cr_expect(yaml_scalar_type(root, NULL) == YAML_TYPE_NULL);
	yaml_node_free(root);
	yaml_node_free(NULL);
}

Test(yaml, what_is_refused)
{
	static const struct {
		const char *text;
		const char *expected;
	} rows[] = {
		{"a: 1\nb: 2\na: 3\n", "f.yaml:3: the key `a` stands twice, first on line 1"},
		{"a: {b: 1, b: 2}", "f.yaml:1: the key `b` stands twice"},
		{"a: &x 1\n", "f.yaml:1: anchors (&name)"},
		{"a: &x [1]\n", "f.yaml:1: anchors (&name)"},
		{"a: 1\nb: *x\n", "f.yaml:2: anchors (&name)"},
		{"*x : 1\n", "f.yaml:1: anchors (&name)"},
		{"&x a: 1\n", "f.yaml:1: anchors (&name)"},
		{"a: 1\n---\nb: 2\n", "f.yaml:2: a second document"},
		{"a: 1\n? [b]\n: 2\n", "f.yaml:2: a key must be plain text"},
		{"a: !!int 1\n", "f.yaml:1: the tag tag:yaml.org,2002:int"},
		{"a: !mine {}\n", "the tag !mine"},
		{"a: [1\nb: 2\n", "f.yaml:"},
		{"a: \"x\n", "f.yaml:"},
		{"\ta: 1\n", "f.yaml:1: "},
		{"a: 'b\n", "f.yaml:"},
		{"a: \xff\n", "f.yaml: "},
		{"a: b: c\n", "f.yaml:1: mapping values are not allowed"},
		{"\"a\\0b\": 1\n", "f.yaml:1: a key must not hold a NUL"},
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct yaml_node *root = NULL;
		struct err err = {0};
		int error = yaml_parse(rows[i].text, strlen(rows[i].text), "f.yaml", &root, &err);
		cr_expect(error == ERR_INPUT && !root, "row %zu", i);
		cr_expect(strstr(err.text, rows[i].expected), "row %zu: %s", i, err.text);
	}
}

Test(yaml, depth_is_bounded)
{
	struct yaml_node *root = NULL;
	struct buf text = BUF_INIT;
	struct err err;

	for (int i = 0; i < 64; i++)
		buf_adds(&text, "[");
	for (int i = 0; i < 64; i++)
		buf_adds(&text, "]");
	cr_expect(yaml_parse(text.data, text.len, "f", &root, &err) == 0, "%s", err.text);
	yaml_node_free(root);
	buf_reset(&text);
	for (int i = 0; i < 20000; i++)
		buf_adds(&text, "[");
	cr_expect(yaml_parse(text.data, text.len, "f", &root, &err) == ERR_INPUT);
	cr_expect_str_eq(err.text, "f:1: nested deeper than 64 levels");
	buf_release(&text);
}

Test(yaml, plain_scalars_by_the_core_schema)
{
	static const struct {
		const char *text;
		enum yaml_type type;
		double value;
	} rows[] = {
		{"~", YAML_TYPE_NULL, 0},
		{"null", YAML_TYPE_NULL, 0},
		{"nULL", YAML_TYPE_TEXT, 0},
		{"true", YAML_TYPE_BOOL, 0},
		{"False", YAML_TYPE_BOOL, 0},
		{"yes", YAML_TYPE_TEXT, 0},
		{"off", YAML_TYPE_TEXT, 0},
		{"0", YAML_TYPE_INT, 0},
		{"-12", YAML_TYPE_INT, -12},
		{"+12", YAML_TYPE_INT, 12},
		{"007", YAML_TYPE_INT, 7},
		{"0x1F", YAML_TYPE_INT, 31},
		{"0o17", YAML_TYPE_INT, 15},
		{"1_000", YAML_TYPE_TEXT, 0},
		{"12:30", YAML_TYPE_TEXT, 0},
		{"1.5", YAML_TYPE_REAL, 1.5},
		{".5", YAML_TYPE_REAL, 0.5},
		{"5.", YAML_TYPE_REAL, 5},
		{"-1e3", YAML_TYPE_REAL, -1000},
		{"1e", YAML_TYPE_TEXT, 0},
		{".", YAML_TYPE_TEXT, 0},
		{"-", YAML_TYPE_TEXT, 0},
		{"1.2.3", YAML_TYPE_TEXT, 0},
		{"-.inf", YAML_TYPE_REAL, -INFINITY},
		{"9223372036854775807", YAML_TYPE_INT, 9223372036854775807.0},
		{"-9223372036854775808", YAML_TYPE_INT, -9223372036854775808.0},
		{"-9223372036854775809", YAML_TYPE_HUGE, 0},
		{"18446744073709551615", YAML_TYPE_UINT, 0},
		{"18446744073709551616", YAML_TYPE_HUGE, 0},
		{"10s", YAML_TYPE_TEXT, 0},
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct yaml_node node = {
			.kind = YAML_SCALAR, .text = (char *)rows[i].text, .len = strlen(rows[i].text)};
		struct yaml_scalar value;
		cr_expect(yaml_scalar_type(&node, &value) == rows[i].type, "%s is %d", rows[i].text, value.type);
		if (value.type == YAML_TYPE_INT)
			cr_expect((double)value.integer == rows[i].value, "%s", rows[i].text);
		if (value.type == YAML_TYPE_REAL)
			cr_expect(value.real == rows[i].value, "%s", rows[i].text);
		node.quoted = true;
		cr_expect(yaml_scalar_type(&node, NULL) == YAML_TYPE_TEXT);
	}
}

Test(yaml, numbers_and_truth_with_their_line)
{
	struct yaml_node *root = parse("a: 5\nb: true\nc: x\n");
	struct err err;
	int64_t n;
	bool truth;

	cr_expect(yaml_int(yaml_get(root, "a"), "a", 0, 10, &n, &err) == 0 && n == 5);
	cr_expect(yaml_bool(yaml_get(root, "b"), "b", &truth, &err) == 0 && truth);
	cr_expect(yaml_int(yaml_get(root, "a"), "a", 0, 4, &n, &err) == ERR_INPUT);
	cr_expect_str_eq(err.text, "f.yaml:1: `a` must be a whole number from 0 to 4, not 5");
	cr_expect(yaml_bool(yaml_get(root, "c"), "c", &truth, &err) == ERR_INPUT);
	cr_expect_str_eq(err.text, "f.yaml:3: `c` must be true or false, not x");
	yaml_node_free(root);
}

static void expect_packed(const char *yaml, const char *json)
{
	CLEANUP(yaml_node_freep) struct yaml_node *root = parse(yaml);
	struct buf packed = BUF_INIT, text = BUF_INIT;
	msgpack_unpacked unpacked;
	struct err err;

	cr_assert(yaml_to_msgpack(root, &packed, &err) == 0, "%s", err.text);
	cr_assert(msgpack_check(packed.data, packed.len, &err) == 0, "%s", err.text);
	msgpack_unpacked_init(&unpacked);
	msgpack_unpack_next(&unpacked, packed.data, packed.len, NULL);
	cr_assert(msgpack_to_json(&unpacked.data, &text, &err) == 0);
	cr_expect_str_eq(text.data, json);
	msgpack_unpacked_destroy(&unpacked);
	buf_release(&packed);
	buf_release(&text);
}

Test(yaml, packed)
{
	expect_packed("a: [1, -2, 0.5, true, ~, '3', !!str 4, 18446744073709551615]\nb: {c: x y}\nd:\n",
		      "{\"a\":[1,-2,0.5,true,null,\"3\",\"4\",18446744073709551615],\"b\":{\"c\":\"x y\"},\"d\":null}");
	expect_packed("", "null");
}

Test(yaml, what_cannot_be_packed)
{
	static const char *const rows[] = {"a:\n  .nan", "a:\n  .inf", "a:\n  18446744073709551616"};
	struct buf packed = BUF_INIT;
	struct err err;

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct yaml_node *root = parse(rows[i]);
		cr_expect(yaml_to_msgpack(root, &packed, &err) == ERR_INPUT);
		cr_expect(strncmp(err.text, "f.yaml:2: ", 10) == 0, "%s", err.text);
		yaml_node_free(root);
	}
	buf_release(&packed);
}

Test(yaml, files)
{
	char path[] = "/tmp/flotilla-test-XXXXXX";
	CLEANUP(closep) int fd = mkstemp(path);
	struct yaml_node *root = NULL;
	struct err err;

	cr_assert(fd >= 0);
	cr_assert(write(fd, "a: 1\n", 5) == 5);
	cr_expect(yaml_load(path, &root, &err) == 0, "%s", err.text);
	cr_expect_str_eq(yaml_get(root, "a")->text, "1");
	cr_expect_str_eq(yaml_get(root, "a")->file, path);
	yaml_node_free(root);
	unlink(path);
	cr_expect(yaml_load(path, &root, &err) == ERR_NOT_FOUND);
	cr_expect(strstr(err.text, "cannot be opened: No such file"), "%s", err.text);
	cr_expect(yaml_load("/tmp", &root, &err) == ERR_INPUT);
}
