#include "runner/replay.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"

#define CHUNK (64 * 1024)
#define MAX_SECONDS 1e9
#define MAX_SIZE (INT64_C(1) << 50)

struct replay {
	json_t *root; /* job.json */
	json_t *args;
	const char *id;
	long long attempt;
	double seconds;
	int dir;
	const char *log;
	const char *root_dir; /* all is below it; "": in a directory that has a mark */
};

static bool complain(const char *format, ...) __attribute__((format(printf, 1, 2)));
static bool complain(const char *format, ...)
{
	va_list ap;
	va_start(ap, format);
	fputs("replay: ", stderr);
	vfprintf(stderr, format, ap);
	fputc('\n', stderr);
	va_end(ap);
	return false;
}

static long long clock_ns(clockid_t id)
{
	struct timespec t;
	clock_gettime(id, &t);
	return (long long)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* A relative name that stays within: no `..`, nothing empty. */
static bool name_valid(const char *name)
{
	if (!*name || *name == '/' || strlen(name) >= PATH_MAX)
		return false;
	while (*name) {
		size_t len = strcspn(name, "/");
		if (len == 0 || (len == 1 && name[0] == '.') || (len == 2 && name[0] == '.' && name[1] == '.'))
			return false;
		name += len;
		if (*name == '/' && !*++name)
			return false;
	}
	return true;
}

/* Makes all directories above the last part of `path`, from `at`. */
static bool make_parents(int at, const char *path)
{
	CLEANUP(freep) char *copy = xstrdup(path);

	for (char *slash = strchr(copy + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (mkdirat(at, copy, 0777) < 0 && errno != EEXIST)
			return complain("%s: cannot be made: %s", copy, strerror(errno));
		*slash = '/';
	}
	return true;
}

/* Whether `path`, with all links on its way, is `root` or below it; so far as it is not there yet it must be plain. */
static bool is_below(const char *root, const char *path)
{
	CLEANUP(freep) char *start = xstrdup(path);
	CLEANUP(freep) char *real = NULL;
	size_t len = root[1] ? strlen(root) : 0;

	while (!(real = realpath(start, NULL)) && errno == ENOENT && strrchr(start, '/') > start)
		*strrchr(start, '/') = '\0';
	if (!real || (path[strlen(start)] && !name_valid(path + strlen(start) + 1)))
		return false;
	return strncmp(real, root, len) == 0 && (real[len] == '\0' || real[len] == '/');
}

/* `flotilla run` marks the directory that it makes: who can only publish cannot. */
static bool check_mark(const struct replay *replay, const char *dir)
{
	CLEANUP(buf_release) struct buf path = BUF_INIT;
	const char *log = json_string_value(json_object_get(replay->args, "log"));
	struct stat info;

	buf_addf(&path, "%s/" REPLAY_MARK, dir);
	if (lstat(path.data, &info) < 0 || !S_ISREG(info.st_mode))
		return complain("args.dir: %s has no file " REPLAY_MARK
				": flotilla run makes it; for other directories "
				"give the worker a --replay-dir",
				dir);
	return !log || is_below(dir, log) ||
	       complain("args.log: %s is not below %s; for other places give the worker a --replay-dir", log, dir);
}

/* What a message names is within the directory that the operator named. */
static bool check_place(const struct replay *replay, const char *what, const char *path)
{
	CLEANUP(freep) char *root = NULL;

	if (!make_parents(AT_FDCWD, replay->root_dir) || (mkdir(replay->root_dir, 0777) < 0 && errno != EEXIST))
		return complain("%s: cannot be made: %s", replay->root_dir, strerror(errno));
	root = realpath(replay->root_dir, NULL);
	return (root && is_below(root, path)) ||
	       complain("args.%s: %s is not below %s, the worker's --replay-dir", what, path, replay->root_dir);
}

static bool open_marked(struct replay *replay, const char *path)
{
	CLEANUP(freep) char *real = realpath(path, NULL);

	if (!real)
		return complain("args.dir: %s: %s", path, strerror(errno));
	if (!check_mark(replay, real))
		return false;
	replay->dir = open(real, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return replay->dir >= 0 || complain("%s: cannot be opened: %s", real, strerror(errno));
}

static bool open_dir(struct replay *replay)
{
	const char *path = json_string_value(json_object_get(replay->args, "dir"));

	if (!path || *path != '/')
		return complain("args.dir: must be an absolute directory");
	if (!*replay->root_dir)
		return open_marked(replay, path);
	if (!check_place(replay, "dir", path) || !make_parents(AT_FDCWD, path))
		return false;
	if (mkdir(path, 0777) < 0 && errno != EEXIST)
		return complain("%s: cannot be made: %s", path, strerror(errno));
	replay->dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return replay->dir >= 0 || complain("%s: cannot be opened: %s", path, strerror(errno));
}

static bool check_names(const json_t *list, const char *what, bool sized)
{
	size_t i;
	json_t *item;

	if (list && !json_is_array(list))
		return complain("args.%s: must be a list", what);
	json_array_foreach(list, i, item)
	{
		const char *name = json_string_value(sized ? json_object_get(item, "name") : item);
		const json_t *size = json_object_get(item, "size");

		if (!name || !name_valid(name))
			return complain("args.%s[%zu]: must name a file within the directory, without ..", what, i);
		if (sized && (!json_is_number(size) || !(json_number_value(size) >= 0) ||
			      json_number_value(size) > (double)MAX_SIZE))
			return complain("args.%s[%zu].size: must be a number of bytes", what, i);
	}
	return true;
}

static bool load(struct replay *replay)
{
	json_error_t error;
	const json_t *job;
	const json_t *seconds;

	replay->root = json_load_file("job.json", 0, &error);
	if (!replay->root)
		return complain("job.json: %s", error.text);
	job = json_object_get(replay->root, "job");
	replay->args = json_object_get(job, "args");
	replay->id = json_string_value(json_object_get(job, "id"));
	replay->attempt = json_integer_value(json_object_get(replay->root, "attempt"));
	seconds = json_object_get(replay->args, "seconds");
	if (!replay->id || !json_is_object(replay->args))
		return complain("args: must be a map with seconds, dir, inputs and outputs");
	if (seconds && (!json_is_number(seconds) || !(json_number_value(seconds) >= 0) ||
			json_number_value(seconds) > MAX_SECONDS))
		return complain("args.seconds: must be a number that is not negative");
	replay->seconds = json_number_value(seconds);
	replay->log = json_string_value(json_object_get(replay->args, "log"));
	if (*replay->root_dir && replay->log && !check_place(replay, "log", replay->log))
		return false;
	if (!replay->log)
		replay->log = getenv("REPLAY_LOG");
	return check_names(json_object_get(replay->args, "inputs"), "inputs", false) &&
	       check_names(json_object_get(replay->args, "outputs"), "outputs", true) && open_dir(replay);
}

/* One write with O_APPEND: lines of many processes do not mix. */
static bool write_log(const struct replay *replay, const char *event)
{
	CLEANUP(buf_release) struct buf line = BUF_INIT;
	CLEANUP(closep) int fd = -1;

	if (!replay->log || !*replay->log)
		return true;
	fd = open(replay->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
	buf_addf(&line, "%s %s %lld %lld %ld\n", event, replay->id, replay->attempt, clock_ns(CLOCK_MONOTONIC),
		 (long)getpid());
	if (fd < 0 || write(fd, line.data, line.len) != (ssize_t)line.len)
		return complain("the log %s cannot be written: %s", replay->log, strerror(errno));
	return true;
}

static bool read_input(const struct replay *replay, const char *name)
{
	CLEANUP(closep) int fd = openat(replay->dir, name, O_RDONLY | O_CLOEXEC);
	CLEANUP(freep) char *chunk = xmalloc(CHUNK);
	ssize_t got;

	if (fd < 0)
		return complain("the input %s is missing: %s", name, strerror(errno));
	do
		got = read(fd, chunk, CHUNK);
	while (got > 0 || (got < 0 && errno == EINTR));
	return got == 0 || complain("the input %s cannot be read: %s", name, strerror(errno));
}

static void burn(double seconds)
{
	long long until = (long long)(seconds * 1e9);
	volatile unsigned spin = 0;

	while (clock_ns(CLOCK_PROCESS_CPUTIME_ID) < until)
		for (int i = 0; i < 1000; i++)
			spin = spin * 31 + 7;
}

static bool fill_file(int fd, int64_t size)
{
	CLEANUP(freep) char *chunk = xcalloc(1, CHUNK);

	memset(chunk, 'x', CHUNK);
	while (size > 0) {
		ssize_t put = write(fd, chunk, size < CHUNK ? (size_t)size : CHUNK);
		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return false;
		size -= put;
	}
	return true;
}

/* Written under another name first: who sees it, sees it whole. */
static bool write_output(const struct replay *replay, const char *name, int64_t size)
{
	CLEANUP(buf_release) struct buf temporary = BUF_INIT;
	CLEANUP(closep) int fd = -1;

	if (!make_parents(replay->dir, name))
		return false;
	buf_addf(&temporary, "%s.%ld.tmp", name, (long)getpid());
	fd = openat(replay->dir, temporary.data, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0666);
	if (fd < 0 || !fill_file(fd, size) || renameat(replay->dir, temporary.data, replay->dir, name) < 0)
		return complain("the output %s cannot be written: %s", name, strerror(errno));
	return true;
}

static bool replay_task(struct replay *replay)
{
	size_t i;
	json_t *item;

	if (!load(replay) || !write_log(replay, "start"))
		return false;
	json_array_foreach(json_object_get(replay->args, "inputs"), i, item)
	{
		if (!read_input(replay, json_string_value(item)))
			return false;
	}
	burn(replay->seconds);
	json_array_foreach(json_object_get(replay->args, "outputs"), i, item)
	{
		if (!write_output(replay, json_string_value(json_object_get(item, "name")),
				  (int64_t)json_number_value(json_object_get(item, "size"))))
			return false;
	}
	return write_log(replay, "end");
}

int replay_main(const char *root_dir)
{
	struct replay replay = {.dir = -1, .root_dir = root_dir};
	bool done = replay_task(&replay);

	if (replay.dir >= 0)
		close(replay.dir);
	json_decref(replay.root);
	return done ? 0 : 1;
}
