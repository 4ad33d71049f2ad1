#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/json_escape.h"

/* Set once by log_setup, before any thread is started; read only from then on. */
static struct {
	enum log_level level;
	bool json;
	char worker[256];
} setup = {.level = LOG_LEVEL_INFO};

static const char *const level_names[] = {"error", "warn", "info", "debug"};

void log_setup(enum log_level level, bool json, const char *worker)
{
	setup.level = level;
	setup.json = json;
	snprintf(setup.worker, sizeof setup.worker, "%s", worker ? worker : "");
}

bool log_enabled(enum log_level level) { return level <= setup.level; }

static void add_time(struct buf *line)
{
	struct timespec now;
	struct tm tm;
	char text[32];

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
	buf_addf(line, "%s.%03ldZ", text, now.tv_nsec / 1000000);
}

static void add_member(struct buf *line, const char *name, const char *text)
{
	if (!text || !*text)
		return;
	buf_addf(line, ",\"%s\":", name);
	json_escape(line, text, strlen(text));
}

static void add_json(struct buf *line, enum log_level level, const struct log_job *job, const struct buf *message)
{
	buf_adds(line, "{\"time\":\"");
	add_time(line);
	buf_addf(line, "\",\"level\":\"%s\",\"message\":", level_names[level]);
	json_escape(line, message->data, message->len);
	add_member(line, "worker", setup.worker);
	if (job) {
		add_member(line, "job", job->id);
		add_member(line, "run", job->run);
		if (job->attempt)
			buf_addf(line, ",\"attempt\":%lld", (long long)job->attempt);
	}
	buf_adds(line, "}\n");
}

/* What a terminal or a reader of lines would take for something else becomes a blank. */
static void blank_controls(struct buf *message)
{
	for (size_t i = 0; i < message->len; i++) {
		unsigned char c = (unsigned char)message->data[i];
		if (c < 0x20 || c == 0x7f)
			message->data[i] = ' ';
		else if (c == 0xc2 && i + 1 < message->len && (unsigned char)message->data[i + 1] < 0xa0) /* U+0080… */
			message->data[i] = message->data[i + 1] = ' ';
	}
}

static void add_text(struct buf *line, enum log_level level, const struct log_job *job, struct buf *message)
{
	blank_controls(message);
	add_time(line);
	buf_addf(line, " %s ", level_names[level]);
	buf_add(line, message->data, message->len);
	if (job && job->id) {
		buf_addf(line, " [job %s", job->id);
		if (job->attempt)
			buf_addf(line, " attempt %lld", (long long)job->attempt);
		buf_adds(line, "]");
	}
	buf_adds(line, "\n");
}

static void write_line(const struct buf *line)
{
	ssize_t written;
	do
		written = write(STDERR_FILENO, line->data, line->len);
	while (written < 0 && errno == EINTR);
}

void log_line(enum log_level level, const struct log_job *job, const char *format, ...)
{
	struct buf message = BUF_INIT, line = BUF_INIT;
	int error = errno;
	va_list ap;

	if (!log_enabled(level))
		return;
	va_start(ap, format);
	buf_vaddf(&message, format, ap);
	va_end(ap);
	if (setup.json)
		add_json(&line, level, job, &message);
	else
		add_text(&line, level, job, &message);
	write_line(&line);
	buf_release(&message);
	buf_release(&line);
	errno = error;
}
