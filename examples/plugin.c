/* A handler in C: counts the words of a text. Built and used so:
 *
 *	cc -shared -fPIC -I shared/include -o libwords.so examples/plugin.c
 *	handlers: { words: { plugin: ./libwords.so, processes: 2 } }
 *	flotilla submit words --args '"how many words are these"' --wait
 */
#include <flotilla/handler.h>
#include <stdio.h>

/* Of JSON text, which is near enough for an example. */
static unsigned count_words(const char *text)
{
	unsigned words = 0;
	bool inside = false;

	for (; *text; text++) {
		bool blank = *text == ' ' || *text == '"';
		words += !blank && !inside;
		inside = !blank;
	}
	return words;
}

static int run(struct flotilla_job *job, void *state)
{
	const char *args = flotilla_job_args(job);
	char result[64];

	(void)state;
	if (*args != '"')
		return flotilla_job_refuse(job, "args must be a text, not %.40s", args);
	flotilla_job_progress(job, "counting");
	printf("counting the words of job %s\n", flotilla_job_id(job));
	snprintf(result, sizeof result, "{\"words\": %u}", count_words(args));
	return flotilla_job_result(job, result);
}

const struct flotilla_handler flotilla_handler = {.version = FLOTILLA_HANDLER_VERSION, .run = run};
