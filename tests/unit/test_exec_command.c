/* Commands of the handlers file: placeholders, environment, errors of the file. */
#include "exec_lab.h"

static const char handlers[] =
	"handlers:\n"
	"  show: { command: [\"./show.sh\", \"{args.a.b}\", \"x{id}y\", \"{{}}\", \"{args.list.1}\"] }\n"
	"  all: { command: [\"printf\", \"%s\", \"{args}\"] }\n"
	"  places: { command: [\"printf\", \"%s|%s|%s|%s\", \"{task}\", \"{attempt}\", "
	"\"{dir}\", \"{pool}.{priority}\"] }\n"
	"  run: { command: [\"printf\", \"%s\", \"{run}\"] }\n"
	"  script: { command: [sh, show.sh, here] }\n"
	"  operand: { command: [printf, \"[%s]\", --, \"{args.a}\", \"{args.b}\"] }\n"
	"  behind: { command: [printf, --, \"[%s]\", \"{args.a}\"] }\n"
	"  free: { command: [printf, \"[%s]\", \"-{args.a}\", \"{args.a}\"], options: allowed }\n"
	"  shell: { command: [sh, -c, \"printf '[%s]' \\\"$@\\\" {attempt}\", sh, \"{args.a}\"] }\n"
	"  slow: { command: [sleep, \"600\"], timeout: 200ms }\n"
	"  env: { command: [env], env: [COLOUR], services: true }\n";

static struct lab *open_lab(void)
{
	struct lab *lab = malloc(sizeof *lab);
	struct err err = {0};

	lab_make_dir(lab);
	lab_write(lab, "show.sh", "#!/bin/sh\nfor a in \"$@\"; do printf '[%s]' \"$a\"; done\n", 0755);
	cr_assert(lab_try_open(lab, handlers, false, &err) == 0, "%s", err.text);
	return lab;
}

static void expect_output(struct lab *lab, const char *spec, const char *output)
{
	struct trial *trial = lab_run(lab, spec);
	cr_assert(trial->succeeded, "%s", trial->error);
	cr_assert_str_eq(trial->output, output);
	trial_free(trial);
}

static void expect_bad(struct lab *lab, const char *spec, const char *words)
{
	struct trial *trial = lab_run(lab, spec);
	expect_reason(trial, JOB_REASON_BAD_ARGUMENT);
	cr_assert(strstr(trial->error, words) != NULL, "%s", trial->error);
	trial_free(trial);
}

Test(exec_command, placeholders)
{
	struct lab *lab = open_lab();
	struct trial *trial;

	expect_output(lab, "{\"id\":\"i\",\"task\":\"show\",\"args\":{\"a\":{\"b\":\"v\"},\"list\":[0,1.5]}}",
		      "[v][xiy][{}][1.5]");
	expect_output(lab, "{\"id\":\"i\",\"task\":\"show\",\"args\":{\"a\":{\"b\":{\"c\":[null]}},\"list\":[0,true]}}",
		      "[{\"c\":[null]}][xiy][{}][true]");
	expect_output(lab, "{\"task\":\"all\",\"args\":[1,\"x\"]}", "[1,\"x\"]");
	expect_output(lab, "{\"task\":\"run\",\"run\":\"r-1\"}", "r-1");
	trial = lab_run(lab, "{\"task\":\"places\"}");
	cr_assert(strncmp(trial->output, "places|1|/", 10) == 0);
	cr_assert(strstr(trial->output, trial->dir) != NULL);
	cr_assert(strstr(trial->output, "|default.normal") != NULL);
	trial_free(trial);
	lab_close(lab);
}

Test(exec_command, hostile_values_stay_one_argument)
{
	struct lab *lab = open_lab();

	expect_output(lab,
		      "{\"id\":\"i\",\"task\":\"show\",\"args\":{\"a\":{\"b\":\"; rm -rf / $(id) `id` {id} \\n'\\\"\"},"
		      "\"list\":[0,\"\"]}}",
		      "[; rm -rf / $(id) `id` {id} \n'\"][xiy][{}][]");
	expect_bad(lab, "{\"task\":\"show\",\"args\":{\"a\":{\"b\":\"x\\u0000y\"},\"list\":[0,1]}}", "NUL");
	lab_close(lab);
}

Test(exec_command, no_value_becomes_an_option)
{
	struct lab *lab = open_lab();

	expect_bad(lab, "{\"task\":\"show\",\"args\":{\"a\":{\"b\":\"-rf\"},\"list\":[0,1]}}", "{args.a.b}");
	expect_bad(lab, "{\"task\":\"show\",\"args\":{\"a\":{\"b\":\"x\"},\"list\":[0,-5]}}", "{args.list.1}");
	expect_bad(lab, "{\"task\":\"all\",\"args\":-5}", "begins with -");
	expect_output(lab, "{\"task\":\"operand\",\"args\":{\"a\":\"--help\",\"b\":-5}}", "[--][--help][-5]");
	/* the -- is the first program's: what stands between may be another */
	expect_bad(lab, "{\"task\":\"behind\",\"args\":{\"a\":\"--help\"}}", "{args.a}");
	expect_output(lab, "{\"task\":\"free\",\"args\":{\"a\":\"-x\"}}", "[--x][-x]");
	expect_output(lab, "{\"task\":\"shell\",\"args\":{\"a\":\"; $(id) \\\"'\\n*\"}}", "[; $(id) \"'\n*][1]");
	expect_bad(lab, "{\"task\":\"shell\",\"args\":{\"a\":\"-x\"}}", "{args.a}");
	lab_close(lab);
}

Test(exec_command, a_value_too_long_for_any_program)
{
	struct lab *lab = open_lab();
	struct buf spec = BUF_INIT;

	buf_adds(&spec, "{\"task\":\"all\",\"args\":\"");
	for (int i = 0; i < 128 * 1024 - 1; i++)
		buf_adds(&spec, "x");
	buf_adds(&spec, "\"}");
	trial_free(lab_run(lab, spec.data));
	spec.len -= 2;
	buf_adds(&spec, "x\"}");
	expect_bad(lab, spec.data, "longer than 128 KiB");
	buf_release(&spec);
	lab_close(lab);
}

Test(exec_command, missing_ones_are_named)
{
	struct lab *lab = open_lab();

	expect_bad(lab, "{\"task\":\"show\",\"args\":{\"a\":{}}}", "{args.a.b}");
	expect_bad(lab, "{\"task\":\"show\"}", "{args.a.b}");
	expect_bad(lab, "{\"task\":\"show\",\"args\":{\"a\":{\"b\":1},\"list\":[0]}}", "{args.list.1}");
	expect_bad(lab, "{\"task\":\"all\"}", "{args}");
	expect_bad(lab, "{\"task\":\"run\"}", "{run}");
	lab_close(lab);
}

Test(exec_command, a_file_beside_the_handlers_is_found)
{
	struct lab *lab = open_lab();
	expect_output(lab, "{\"task\":\"script\"}", "[here]");
	lab_close(lab);
}

Test(exec_command, timeout_of_the_handler)
{
	struct lab *lab = open_lab();
	struct trial *trial = lab_run(lab, "{\"task\":\"slow\"}");

	expect_reason(trial, JOB_REASON_TIMEOUT);
	trial_free(trial);
	lab_close(lab);
}

Test(exec_command, environment)
{
	struct lab *lab = open_lab();
	struct trial *trial = lab_run(lab, "{\"task\":\"env\",\"env\":{\"COLOUR\":\"red\"}}");

	cr_assert(trial->succeeded);
	cr_assert(strstr(trial->output, "COLOUR=red\n") != NULL);
	cr_assert(strstr(trial->output, "FLOTILLA_AMQP_URL=amqp://a\n") != NULL);
	cr_assert(strstr(trial->output, "FLOTILLA_REDIS_URL=redis://r\n") != NULL);
	cr_assert(strstr(trial->output, "FLOTILLA_PREFIX=fleet\n") != NULL);
	trial_free(trial);
	expect_bad(lab, "{\"task\":\"env\",\"env\":{\"LD_PRELOAD\":\"x\"}}", "LD_PRELOAD");
	expect_bad(lab, "{\"task\":\"env\",\"argv\":[\"x\"]}", "argv");
	lab_close(lab);
}

Test(exec_command, errors_of_the_file)
{
	static const struct {
		const char *text, *words;
	} rows[] = {
		{"handlers:\n  a: { command: [\"x\", \"{nope}\"] }\n", ":2: {nope}"},
		{"handlers:\n  a: { command: [\"x\", \"{args.a\"] }\n", ":2:"},
		{"handlers:\n  a: { command: x }\n", ":2:"},
		{"handlers:\n  a: { command: [] }\n", ":2:"},
		{"handlers:\n  a: { command: [[x]] }\n", ":2:"},
		{"handlers:\n  a: { timeout: 3s }\n", ":2:"},
		{"handlers:\n  a: { command: [x], runner: [y] }\n", ":2:"},
		{"handlers:\n  a: { command: [x], timeout: 3 }\n", ":2: timeout"},
		{"handlers:\n  a: { command: [x], timeout: 0 }\n", ":2: timeout"},
		{"handlers:\n  a: { command: [x], retries: 1001 }\n", ":2:"},
		{"handlers:\n  a: { command: [x], processes: 2 }\n", ":2:"},
		{"handlers:\n  a: { runner: [x], env: [A] }\n", ":2:"},
		{"handlers:\n  a: { command: [x], env: [FLOTILLA_ID] }\n", ":2:"},
		{"handlers:\n  a: { command: [x], env: [\"A=B\"] }\n", ":2:"},
		{"handlers:\n  a: { command: [x], comand: 1 }\n", ":2:"},
		{"handlers:\n  a: { command: [x], env: [A, LD_PRELOAD] }\n", ":2: env: with LD_PRELOAD"},
		{"handlers:\n  a: { command: [x], env: [PATH] }\n", ":2: env: with PATH"},
		{"handlers:\n  a: { command: [x], env: [PERLLIB] }\n", ":2: env: with PERLLIB"},
		{"handlers:\n  a: { command: [x], env: [JDK_JAVA_OPTIONS] }\n", ":2: env: with JDK_JAVA_OPTIONS"},
		{"handlers:\n  a: { command: [x], env: [PYTHONUSERBASE] }\n", ":2: env: with PYTHONUSERBASE"},
		{"handlers:\n  a: { command: [x], env: [GIT_SSH_COMMAND] }\n", ":2: env: with GIT_SSH_COMMAND"},
		{"handlers:\n  a: { command: [x], env: [OPENSSL_CONF] }\n", ":2: env: with OPENSSL_CONF"},
		{"handlers:\n  a: { command: [x], options: yes }\n", ":2: options"},
		{"handlers:\n  a: { runner: [x], options: allowed }\n", ":2:"},
		{"handlers:\n  a: { command: [\"./{args.x}\"] }\n", ":2: the program"},
		{"handlers:\n  a: { command: [\"{id}\"], options: allowed }\n", ":2: the program"},
		{"handlers:\n  a: { command: [x, \"--{args.x}\"] }\n", ":2: --{args.x}"},
		{"handlers:\n  a: { command: [x, \"-{args.x}\"] }\n", ":2: -{args.x}"},
		{"handlers:\n  a:\n    command:\n    - sh\n    - -c\n    - ls {args.x}\n", ":6: a script"},
		{"handlers:\n  a: { command: [/bin/bash, -o, pipefail, -ec, \"{args}\"], options: allowed }\n",
		 "a script"},
		{"handlers:\n  a: { command: [sh, -c, -e, \"x {args.x}\"] }\n", "a script"},
		{"handlers:\n  a: { command: [sh, -c, \"rm {id}\"] }\n", "a script"},
		{"handlers:\n  a: { command: [sh, -c, \"rm {run}\"], options: allowed }\n", "a script"},
		{"handlers:\n  a: { command: [Rscript, -e, \"{args.x}\"] }\n", "a script"},
		{"handlers:\n  a: { command: [pwsh, -Command, \"{args.x}\"] }\n", "a script"},
		{"handlers:\n  a: { command: [busybox, ash, -c, \"{args.x}\"] }\n", "a script"},
		{"handlers:\n  a: { command: [nice, env, A=b, sh, \"-cls {args.x}\"] }\n", "a script"},
		{"handlers:\n  a: { command: [env, -S, \"ls {args.x}\"] }\n", "a script"},
		{"handlers:\n  a: { command: [python3.11, -c, \"print({args.x})\"] }\n", "a script"},
		{"handlers:\n  a: { command: [perl, -ne, \"{args.x}\"] }\n", "a script"},
		{"handlers:\n  a: { command: [node, \"--eval={args.x}\"] }\n", "a script"},
		{"handlers:\n  a: { command: [x], user: no-such-user }\n", ":2: user: there is no user"},
		{"handlers:\n  a: { command: [x], user: \"4294967295\" }\n", ":2: user: there is no user"},
		{"handlers:\n  a: { command: [x], user: [root] }\n", ":2: user must be text"},
		{"handlers:\n  a: { command: [x], limits: 7 }\n", ":2: limits must be a map"},
		{"handlers:\n  a: { command: [x], limits: {} }\n", ":2: limits must be a map"},
		{"handlers:\n  a: { command: [x], limits: { cpu: 60 } }\n", ":2: limits: cpu: \"60\" has no unit"},
		{"handlers:\n  a: { command: [x], limits: { cpu: 0 } }\n", ":2: limits: cpu: too little"},
		{"handlers:\n  a: { command: [x], limits: { memory: 2G } }\n", ":2: limits: memory: \"2G\" is no size"},
		{"handlers:\n  a: { command: [x], limits: { memory: 1KiB } }\n", ":2: limits: memory: too little"},
		{"handlers:\n  a: { command: [x], limits: { files: -1 } }\n", ":2: `files`"},
		{"handlers:\n  a: { command: [x], limits: { disk: 1GiB } }\n", ":2: limits: there is no \"disk\""},
		{"handlers:\n  a: { command: [x], isolate: yes }\n", ":2: isolate must be a map"},
		{"handlers:\n  a: { command: [x], isolate: { tmp: none } }\n", ":2: isolate: tmp can be"},
		{"handlers:\n  a: { command: [x], isolate: { tmp: 1KiB } }\n", ":2: isolate: tmp can be"},
		{"handlers:\n  a: { command: [x], isolate: { network: private } }\n", ":2: isolate: network"},
		{"handlers:\n  a: { command: [x], isolate: { processes: private } }\n", ":2: isolate: there is no"},
		{"handlers:\n  a: { command: [/tmp/x], isolate: { tmp: private } }\n", "hides /tmp/x"},
		{"handlers:\n  exec: { command: [x] }\n", ":2: exec is built in"},
		{"handlers:\n  exec: { env: [A] }\n", ":2: exec is built in"},
		{"handlers:\n  exec: 7\n", ":2: exec is built in"},
		{"handlers:\n  a: 7\n", ":2:"},
		{"handlers:\n  noop: { command: [x] }\n", ":2: noop is built in"},
		{"handlers:\n  a: { plugin: ./missing.so }\n", ":2:"},
		{"handler:\n  a: 7\n", ":1:"},
		{"handlers: []\n", ":1:"},
		{"handlers: {}\nmore: 1\n", ":2:"},
		{"handlers:\n  a: { command: [x] }\n  a: { command: [x] }\n", ":3:"},
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct lab lab;
		struct err err = {0};
		lab_make_dir(&lab);
		cr_assert(lab_try_open(&lab, rows[i].text, false, &err) == ERR_USAGE, "%s", rows[i].text);
		cr_assert(strstr(err.text, "handlers.yaml") && strstr(err.text, rows[i].words), "%s: %s", rows[i].text,
			  err.text);
		uv_loop_close(&lab.loop);
		nftw(lab.dir, lab_remove_one, 16, FTW_DEPTH | FTW_PHYS);
	}
}

/* What looks like a script and is none. */
Test(exec_command, options_of_scripts_in_files_are_their_own)
{
	static const char *const texts[] = {
		"handlers:\n  a: { command: [python3, resize.py, -crop, \"{args.x}\"] }\n",
		"handlers:\n  a: { command: [sh, -c, \"ls \\\"$1\\\" {task} {dir}\", sh, \"{args.x}\"] }\n",
		"handlers:\n  a: { command: [cc, -c, \"{args.x}\"] }\n",
	};

	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		lab_close(lab_open(texts[i]));
}

Test(exec_command, a_file_that_is_missing)
{
	struct exec_options options = {.handlers_file = "/nowhere/h.yaml", .work_dir = "/tmp", .pool = "p"};
	struct executor *executor = NULL;
	struct err err = {0};

	cr_assert(executor_open(uv_default_loop(), &options, &executor, &err) == ERR_USAGE);
	cr_assert(strstr(err.text, "/nowhere/h.yaml") != NULL);
}
