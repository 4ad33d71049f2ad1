/* A handler that writes a line before and behind its work into the file that its arguments name, so that what ran, how
 * often and when can be told without the servers: `start|ok|fail ID ATTEMPT WORKER SECONDS`. args: {"log": path}. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "flotilla/handler.h"

static void note(const struct flotilla_job *job, const char *log, const char *what)
{
	int fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	if (fd >= 0) {
		dprintf(fd, "%s %s %lld %d %lld.%02ld\n", what, flotilla_job_id(job),
			(long long)flotilla_job_attempt(job), (int)getppid(), (long long)now.tv_sec,
			now.tv_nsec / 10000000);
		close(fd);
	}
}

static int run(struct flotilla_job *job, void *state)
{
	char log[1000] = "";

	(void)state;
	if (sscanf(flotilla_job_args(job), "{\"log\":\"%999[^\"]", log) != 1)
		return flotilla_job_refuse(job, "args: log is missing");
	note(job, log, "start");
	flotilla_job_progress(job, "half");
	note(job, log, "ok");
	return flotilla_job_result(job, "{\"noted\":true}");
}

const struct flotilla_handler flotilla_handler = {FLOTILLA_HANDLER_VERSION, .run = run};
