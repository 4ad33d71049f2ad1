#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/config.h"

struct settings {
	struct config_services services;
	char *priorities;
	int64_t slots, lease;
	bool allow_exec;
};

#define COUNT (CONFIG_SERVICES_COUNT + 4)

static void items_of(struct settings *settings, struct config_item *items)
{
	config_services_items(&settings->services, items);
	items[CONFIG_SERVICES_COUNT] = (struct config_item){.key = "slots",
							    .env = "T_SLOTS",
							    .type = CONFIG_INT,
							    .target = &settings->slots,
							    .default_text = "4",
							    .min = 1,
							    .max = 64};
	items[CONFIG_SERVICES_COUNT + 1] = (struct config_item){.key = "lease",
								.env = "T_LEASE",
								.type = CONFIG_DURATION,
								.target = &settings->lease,
								.default_text = "10s",
								.min = 1000,
								.max = 3600000};
	items[CONFIG_SERVICES_COUNT + 2] =
		(struct config_item){.key = "allow_exec", .type = CONFIG_BOOL, .target = &settings->allow_exec};
	items[CONFIG_SERVICES_COUNT + 3] = (struct config_item){.key = "priorities",
								.type = CONFIG_TEXT,
								.target = &settings->priorities,
								.default_text = "high,normal,low"};
}

/* A file with that text; the caller unlinks and frees its path. */
static char *file_with(const char *text)
{
	char *path = strdup("/tmp/flotilla-test-XXXXXX");
	int fd = mkstemp(path);
	cr_assert(fd >= 0);
	cr_assert(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	close(fd);
	return path;
}

static int load(struct settings *settings, struct config_item *items, const char *text, struct err *err)
{
	char *path = text ? file_with(text) : NULL;
	int error;

	*settings = (struct settings){0};
	items_of(settings, items);
	error = config_load(items, COUNT, path, err);
	if (path)
		unlink(path);
	free(path);
	return error;
}

static void clear_environment(void)
{
	static const char *const names[] = {
		"FLOTILLA_AMQP_URL", "FLOTILLA_REDIS_URL", "FLOTILLA_PREFIX", "FLOTILLA_CONFIG", "T_SLOTS", "T_LEASE"};
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		unsetenv(names[i]);
}

TestSuite(config, .init = clear_environment);

Test(config, defaults)
{
	struct config_item items[COUNT];
	struct settings settings;
	struct err err;

	cr_assert(load(&settings, items, NULL, &err) == 0, "%s", err.text);
	cr_expect_str_eq(settings.services.amqp_url, "amqp://guest:guest@localhost:5672/");
	cr_expect_str_eq(settings.services.redis_url, "redis://localhost:6379/0");
	cr_expect_str_eq(settings.services.prefix, "flotilla");
	cr_expect(settings.slots == 4 && settings.lease == 10000 && !settings.allow_exec);
	cr_expect(items[CONFIG_SERVICES_COUNT].source == CONFIG_DEFAULT &&
		  items[CONFIG_SERVICES_COUNT + 2].source == CONFIG_NOWHERE);
	config_release(items, COUNT);
	cr_expect_null(settings.services.prefix);
}

Test(config, options_override_environment_overrides_file)
{
	struct config_item items[COUNT];
	struct settings settings = {0};
	struct err err;
	char *path = file_with("prefix: file\nslots: 1\nlease: 1m\nallow_exec: true\npriorities: [a, b]\npool: gpu\n");

	setenv("FLOTILLA_CONFIG", path, 1);
	setenv("FLOTILLA_PREFIX", "environment", 1);
	setenv("T_SLOTS", "2", 1);
	setenv("T_LEASE", "", 1);
	items_of(&settings, items);
	cr_assert(config_set(config_find(items, COUNT, "slots"), "3", "--slots", &err) == 0);
	cr_assert(config_load(items, COUNT, NULL, &err) == 0, "%s", err.text);
	cr_expect_str_eq(settings.services.prefix, "environment");
	cr_expect(settings.slots == 3 && settings.lease == 60000 && settings.allow_exec);
	cr_expect_str_eq(settings.priorities, "a,b");
	cr_assert(config_set(config_find(items, COUNT, "prefix"), "{option}", "--prefix", &err) == 0);
	cr_expect_str_eq(settings.services.prefix, "{option}");
	cr_expect(items[2].source == CONFIG_OPTION);
	config_release(items, COUNT);
	unlink(path);
	free(path);
}

Test(config, files_that_are_refused)
{
	static const struct {
		const char *text;
		const char *expected;
	} rows[] = {
		{"prefix: a\nslotz: 1\n", ":2: `slotz` is no setting"},
		{"- a\n", ":1: must be a map of settings, not a list"},
		{"slots: many\n", ":1: `slots`: must be a whole number from 1 to 64, not \"many\""},
		{"slots: 65\n", "from 1 to 64, not \"65\""},
		{"slots: 1.5\n", "from 1 to 64, not \"1.5\""},
		{"slots: [1]\n", ":1: `slots` must be one value, not a list"},
		{"slots: {a: 1}\n", ":1: `slots` must be one value, not a map"},
		{"\nslots:\n", ":2: `slots` has no value"},
		{"lease: 10\n", "`lease`: \"10\" has no unit; say 10s"},
		{"lease: 10ms\n", "`lease`: must be from 1.0 s to 1 h 0 min, not 10ms"},
		{"allow_exec: maybe\n", "`allow_exec`: must be true or false, not \"maybe\""},
		{"prefix: No Good\n", "`prefix`: must be 1 to 64 characters of a-z0-9_-"},
		{"priorities: [[a]]\n", "`priorities` must be a list of texts"},
		{"slots: 1\nslots: 2\n", ":2: the key `slots` stands twice"},
		{"slots: [\n", "flotilla-test-"},
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct config_item items[COUNT];
		struct settings settings;
		struct err err = {0};
		cr_expect(load(&settings, items, rows[i].text, &err) == ERR_INPUT, "row %zu", i);
		cr_expect(strstr(err.text, rows[i].expected), "row %zu: %s", i, err.text);
		config_release(items, COUNT);
	}
}

Test(config, a_missing_file_and_a_bad_environment)
{
	struct config_item items[COUNT];
	struct settings settings = {0};
	struct err err = {0};

	items_of(&settings, items);
	cr_expect(config_load(items, COUNT, "/nonexistent/f.yaml", &err) == ERR_INPUT);
	cr_expect(err.code == ERR_INPUT && strstr(err.text, "/nonexistent/f.yaml: cannot be opened"), "%s", err.text);
	setenv("T_SLOTS", "0", 1);
	cr_expect(config_load(items, COUNT, NULL, &err) == ERR_INPUT);
	cr_expect_str_eq(err.text, "T_SLOTS: must be a whole number from 1 to 64, not \"0\"");
	cr_expect(config_set(&items[CONFIG_SERVICES_COUNT], "x", "--slots", &err) == ERR_USAGE);
	cr_expect_str_eq(err.text, "--slots: must be a whole number from 1 to 64, not \"x\"");
	config_release(items, COUNT);
}

Test(config, an_empty_file)
{
	struct config_item items[COUNT];
	struct settings settings;
	struct err err;

	cr_expect(load(&settings, items, "# nothing yet\n", &err) == 0, "%s", err.text);
	config_release(items, COUNT);
}

Test(config, prefixes)
{
	char longest[68];

	memset(longest, 'a', sizeof longest);
	longest[64] = '\0';
	cr_expect(config_prefix_valid(longest));
	longest[64] = 'a';
	longest[65] = '\0';
	cr_expect(!config_prefix_valid(longest));
	cr_expect(config_prefix_valid("{a-b_1}"));
	static const char *const bad[] = {"", "{}", "{a", "a}", "a.b", "A", "a:b", "{{a}}", "a b", "{"};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		cr_expect(!config_prefix_valid(bad[i]), "%s", bad[i]);
}
