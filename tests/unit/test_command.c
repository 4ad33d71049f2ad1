#include <criterion/criterion.h>
#include <string.h>

#include "commands.h"
#include "job/job.h"
#include "job/json.h"
#include "out.h"
#include "pack.h"
#include "parse.h"
#include "record.h"

Test(command, the_nearest_word)
{
	static const char *const names[] = {"submit", "status", "stats", "why"};

	cr_expect_str_eq(nearest_word("sbumit", names, 4), "submit");
	cr_expect_str_eq(nearest_word("statsu", names, 4), "stats");
	cr_expect_str_eq(nearest_word("sub", names, 4), "submit");
	cr_expect_null(nearest_word("frobnicate", names, 4));
	cr_expect_null(nearest_word("", names, 4));
	cr_expect_null(nearest_word("x", names, 4));
}

Test(command, text_from_outside_cannot_steer_a_terminal)
{
	struct buf text = BUF_INIT;

	out_clean(&text, "a\033[2Jb\tc\nd\x7f\xff\xc2\x9b\xc3\xa9", 16, false);
	cr_expect_str_eq(text.data, "a?[2Jb\tc\nd???\xc3\xa9");
	buf_reset(&text);
	out_clean(&text, "a\nb\tc", 5, true);
	cr_expect_str_eq(text.data, "a b c");
	buf_release(&text);
}

Test(command, a_table_is_aligned)
{
	struct table table = {.columns = 3, .state = 3, .right = "llr"};
	struct buf text = BUF_INIT;
	static const char *const cells[] = {"ID",        "STATE",  "N", "\xc3\xa9t\xc3\xa9", "ok", "12",
					    "longer-id", "failed", "3"};

	for (size_t i = 0; i < 9; i++)
		table_add(&table, cells[i]);
	table_write(&table, &text);
	cr_expect_str_eq(text.data,
			 "ID         STATE    N\n\xc3\xa9t\xc3\xa9        ok      12\nlonger-id  failed   3\n");
	table_release(&table);
	buf_release(&text);
}

Test(command, a_packed_map_is_a_job)
{
	struct pack pack = {BUF_INIT, 0}, pairs = {BUF_INIT, 0};
	struct buf map = BUF_INIT;
	const char *argv[] = {"a", "b"};
	struct job job;
	struct err err;

	pack_int(&pack, "v", 1);
	pack_text(&pack, "task", "exec");
	pack_text(&pack, "id", "x");
	pack_text(&pack, "dedup", "k");
	pack_true(&pack, "reuse");
	pack_texts(&pack, "argv", argv, 2);
	pack_text(&pairs, "K", "V");
	pack_map(&pack, "env", &pairs);
	pack_write(&pack, &map);
	const struct job_message message = {.body = map.data,
					    .body_len = map.len,
					    .content_type = "application/msgpack",
					    .pool = "default",
					    .priority = "low"};
	cr_assert_eq(job_decode(&job, &message, &job_limits_default, &err), 0, "%s", err.text);
	cr_expect(job.reuse && job.argc == 2 && job.env_count == 1);
	cr_expect_str_eq(job.argv[1], "b");
	cr_expect_str_eq(job.env[0].value, "V");
	cr_expect_str_eq(job.priority, "low");
	job_release(&job);
	pack_release(&pack);
	pack_release(&pairs);
	buf_release(&map);
}

static int parse(struct app *app, struct config_services *services, struct err *err, const char *words)
{
	static char copy[200];
	static char *argv[16];
	struct config_item items[CONFIG_SERVICES_COUNT];
	int argc = 0, r;
	long long options[16] = {0};

	cr_assert(strlen(words) < sizeof copy);
	memcpy(copy, words, strlen(words) + 1);
	for (char *save = NULL, *word = strtok_r(copy, " ", &save); word; word = strtok_r(NULL, " ", &save))
		argv[argc++] = word;
	argv[argc] = NULL;
	config_services_items(services, items);
	app->command = command_find(argv[0]);
	r = parse_command(argc, argv, app, items, options, err);
	config_release(items, CONFIG_SERVICES_COUNT);
	return r;
}

Test(command, options_stand_anywhere)
{
	struct config_services services = {0};
	struct app app = {0};
	struct err err = {0};

	cr_assert_eq(parse(&app, &services, &err, "wait a --any b --timeout 3s c"), 0, "%s", err.text);
	cr_assert_eq(app.arg_count, 3);
	cr_expect_str_eq(app.args[2], "c");
	free(app.args);
	app = (struct app){0};
	cr_assert_eq(parse(&app, &services, &err, "wait --any -- -a --any"), 0, "%s", err.text);
	cr_assert_eq(app.arg_count, 2);
	cr_expect_str_eq(app.args[0], "-a");
	free(app.args);
}

Test(command, a_wrong_option_is_named)
{
	struct config_services services = {0};
	struct app app = {0};
	struct err err = {0};

	cr_expect_eq(parse(&app, &services, &err, "wait a --tiemout 3s"), ERR_USAGE);
	cr_expect_not_null(strstr(err.text, "--tiemout; did you mean --timeout?"), "%s", err.text);
	free(app.args);
	app = (struct app){0};
	cr_expect_eq(parse(&app, &services, &err, "wait a --timeout 3x"), ERR_USAGE);
	cr_expect_not_null(strstr(err.text, "--timeout: "), "%s", err.text);
	free(app.args);
	app = (struct app){0};
	cr_expect_eq(parse(&app, &services, &err, "wait a --timeout"), ERR_USAGE);
	cr_expect_not_null(strstr(err.text, "--timeout needs a value"), "%s", err.text);
	free(app.args);
}
