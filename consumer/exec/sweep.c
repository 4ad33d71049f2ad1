/* Old job directories go, in the thread pool. A directory that any worker still runs a job in is locked (jobdir.c).
 *
 * What is in them is a job's, which may want them to stay, or something else to go: nothing is followed (openat,
 * unlinkat), times in the future do not count, what was forbidden to the owner is allowed again, and what is nested too
 * deeply to be gone into is moved up first. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "exec/internal.h"

#define MAX_DEPTH 100
#define MAX_ROUNDS 1000

struct sweeping {
	uv_work_t work;
	struct executor *executor; /* NULL: it has gone */
	char *work_dir;
	int64_t keep_ms, keep_failed_ms;
	int removed;
};

static bool dots(const char *name) { return name[0] == '.' && (!name[1] || (name[1] == '.' && !name[2])); }

/* One directory that goes, with all that is in it. */
struct going {
	int top;         /* its descriptor */
	unsigned lifted; /* moved up in this round */
};

static void empty(struct going *going, int fd, int depth);

static int open_dir(int parent, const char *name)
{
	const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
	int fd = openat(parent, name, flags);

	/* Of the worker's own user; for root nothing is forbidden, and fchmodat would follow a link. */
	if (fd < 0 && errno == EACCES && geteuid() != 0 && fchmodat(parent, name, 0700, 0) == 0)
		fd = openat(parent, name, flags);
	return fd;
}

/* To be emptied in the next round, from where it is not deep. By a name that no job could have taken. */
static void lift(struct going *going, int parent, const char *name)
{
	char to[33];

	random_hex(to, 16);
	if (renameat(parent, name, going->top, to) == 0)
		going->lifted++;
}

/* Where the directory may not be written to, by its owner's wish, it may again. */
static bool remove_file(int parent, const char *name)
{
	if (unlinkat(parent, name, 0) == 0)
		return true;
	return errno == EACCES && geteuid() != 0 && fchmod(parent, 0700) == 0 && unlinkat(parent, name, 0) == 0;
}

static void remove_entry(struct going *going, int parent, const char *name, int depth)
{
	int fd;

	if (remove_file(parent, name) || (errno != EISDIR && errno != EPERM))
		return;
	fd = open_dir(parent, name);
	if (fd >= 0 && depth + 1 < MAX_DEPTH)
		empty(going, fd, depth + 1);
	else if (fd >= 0)
		close(fd);
	if (unlinkat(parent, name, AT_REMOVEDIR) < 0 && depth + 1 >= MAX_DEPTH)
		lift(going, parent, name);
}

/* Takes the descriptor. */
static void empty(struct going *going, int fd, int depth)
{
	DIR *dir = fdopendir(fd);
	struct dirent *entry;

	if (!dir) {
		close(fd);
		return;
	}
	while ((entry = readdir(dir)))
		if (!dots(entry->d_name))
			remove_entry(going, fd, entry->d_name, depth);
	closedir(dir);
}

/* Each round is at least a hundred levels. */
static void empty_all(int top)
{
	struct going going = {.top = top, .lifted = 1};

	for (int round = 0; round < MAX_ROUNDS && going.lifted > 0; round++) {
		int fd = openat(top, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		going.lifted = 0;
		if (fd < 0)
			return;
		empty(&going, fd, 0);
	}
}

/* POOL-N of any pool, with a job.json or nothing yet. */
static bool is_job_dir(const char *name)
{
	const char *dash = strrchr(name, '-');
	return dash && dash > name && dash[1] && strspn(dash + 1, "0123456789") == strlen(dash + 1);
}

static bool has(int fd, const char *name) { return faccessat(fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0; }

/* A job can set the time of its files, but not when that was done. */
static int64_t age_ms(const struct stat *st)
{
	time_t when = st->st_mtime < st->st_ctime ? st->st_mtime : st->st_ctime;
	return clock_wall_ms() - (int64_t)when * 1000;
}

static bool is_old(const struct sweeping *sweeping, int fd)
{
	struct stat st;
	bool ended = fstatat(fd, "profile.json", &st, AT_SYMLINK_NOFOLLOW) == 0;
	bool failed = !ended || has(fd, "failed");

	if (!ended && fstat(fd, &st) < 0)
		return false;
	return age_ms(&st) > (failed ? sweeping->keep_failed_ms : sweeping->keep_ms);
}

/* Only what a worker made: the directory may hold other things. A job may have removed the one, it cannot prevent the
 * other, which is written at its end. */
static bool is_ours(int fd) { return has(fd, "job.json") || has(fd, "profile.json"); }

static void consider(struct sweeping *sweeping, int parent, const char *name)
{
	int fd = open_dir(parent, name);

	if (fd < 0)
		return;
	if (is_ours(fd) && is_old(sweeping, fd) && flock(fd, LOCK_EX | LOCK_NB) == 0) {
		empty_all(fd);
		if (unlinkat(parent, name, AT_REMOVEDIR) == 0)
			sweeping->removed++;
	}
	close(fd);
}

static void sweep(uv_work_t *work)
{
	struct sweeping *sweeping = work->data;
	DIR *dir = opendir(sweeping->work_dir);
	struct dirent *entry;

	if (!dir)
		return;
	while ((entry = readdir(dir)))
		if (is_job_dir(entry->d_name))
			consider(sweeping, dirfd(dir), entry->d_name);
	closedir(dir);
}

static void on_swept(uv_work_t *work, int status)
{
	struct sweeping *sweeping = work->data;

	(void)status;
	if (sweeping->executor)
		sweeping->executor->sweeping = NULL;
	if (sweeping->removed > 0)
		log_debug("%d old job directories removed from %s", sweeping->removed, sweeping->work_dir);
	free(sweeping->work_dir);
	free(sweeping);
}

void sweep_start(struct executor *executor)
{
	struct sweeping *sweeping;

	if (executor->sweeping)
		return;
	sweeping = xcalloc(1, sizeof *sweeping);
	sweeping->work.data = sweeping;
	sweeping->executor = executor;
	sweeping->work_dir = xstrdup(executor->work_dir);
	sweeping->keep_ms = executor->keep_dirs_ms;
	sweeping->keep_failed_ms = executor->keep_failed_dirs_ms;
	executor->sweeping = sweeping;
	uv_queue_work(executor->loop, &sweeping->work, sweep, on_swept);
}

void sweep_forget(struct executor *executor)
{
	executor->sweeping->executor = NULL;
	uv_cancel((uv_req_t *)&executor->sweeping->work);
	executor->sweeping = NULL;
}
