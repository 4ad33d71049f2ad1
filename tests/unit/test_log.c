#include <criterion/criterion.h>
#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"

#define ALL 65536

/* Sends standard error to a file for the rest of the test. */
static FILE *catch_stderr(void)
{
	FILE *file = tmpfile();
	cr_assert(file);
	cr_assert(dup2(fileno(file), STDERR_FILENO) == STDERR_FILENO);
	return file;
}

static void read_back(FILE *file, char *text)
{
	size_t got;
	rewind(file);
	got = fread(text, 1, ALL - 1, file);
	text[got] = '\0';
	cr_assert(got > 0);
}

Test(log, lines_of_text)
{
	CLEANUP(fclosep) FILE *file = catch_stderr();
	struct log_job job = {.id = "a", .attempt = 2};
	char text[ALL];

	log_setup(LOG_LEVEL_INFO, false, "w");
	log_line(LOG_LEVEL_INFO, &job, "done in %d ms\nwith\x1b[31m\xc2\x9b\xc2\xa0", 5);
	log_debug("not this");
	log_warn("plain");
	read_back(file, text);
	cr_expect(text[4] == '-' && text[10] == 'T' && text[19] == '.' && text[23] == 'Z', "%s", text);
	cr_expect(strncmp(text + 24, " info done in 5 ms with [31m  \xc2\xa0 [job a attempt 2]\n", 51) == 0, "%s",
		  text);
	cr_expect(strstr(text, "Z warn plain\n"));
	cr_expect_null(strstr(text, "not this"));
}

Test(log, lines_of_json)
{
	CLEANUP(fclosep) FILE *file = catch_stderr();
	struct log_job job = {.id = "a\"b", .run = "r", .attempt = 3};
	json_error_t error;
	char text[ALL];
	json_t *line;

	log_setup(LOG_LEVEL_DEBUG, true, "w1");
	log_line(LOG_LEVEL_ERROR, &job, "odd \xff \"%s\"\n", "text");
	read_back(file, text);
	cr_expect(strchr(text, '\n') == text + strlen(text) - 1);
	line = json_loads(text, 0, &error);
	cr_assert(line, "%s", error.text);
	cr_expect_str_eq(json_string_value(json_object_get(line, "level")), "error");
	cr_expect_str_eq(json_string_value(json_object_get(line, "message")), "odd \xef\xbf\xbd \"text\"\n");
	cr_expect_str_eq(json_string_value(json_object_get(line, "worker")), "w1");
	cr_expect_str_eq(json_string_value(json_object_get(line, "job")), "a\"b");
	cr_expect_str_eq(json_string_value(json_object_get(line, "run")), "r");
	cr_expect(json_integer_value(json_object_get(line, "attempt")) == 3);
	cr_expect(strlen(json_string_value(json_object_get(line, "time"))) == 24);
	json_decref(line);
}

static void *write_lines(void *unused)
{
	for (int i = 0; i < 200; i++)
		log_info("abcdefghijklmnopqrstuvwxyz");
	return unused;
}

Test(log, threads_do_not_mix_their_lines)
{
	CLEANUP(fclosep) FILE *file = catch_stderr();
	pthread_t threads[4];
	int lines = 0;
	static char text[ALL];

	log_setup(LOG_LEVEL_INFO, false, NULL);
	for (int i = 0; i < 4; i++)
		cr_assert(pthread_create(&threads[i], NULL, write_lines, NULL) == 0);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	read_back(file, text);
	for (char *at = text; *at; lines++) {
		char *end = strchr(at, '\n');
		cr_assert(end && end - at == 56, "%.100s", at);
		at = end + 1;
	}
	cr_expect(lines == 800, "%d", lines);
}
