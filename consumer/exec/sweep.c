/* Old job directories go, in the thread pool. A directory that any worker still runs a job in is locked (jobdir.c). */
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

/* Deeper ones stay for a person to look at. */
#define MAX_DEPTH 200

struct sweeping {
	uv_work_t work;
	struct executor *executor; /* NULL: it has gone */
	char *work_dir;
	int64_t keep_ms, keep_failed_ms;
	int removed;
};

static bool dots(const char *name) { return name[0] == '.' && (!name[1] || (name[1] == '.' && !name[2])); }

static void empty(int fd, int depth);

static void remove_entry(int parent, const char *name, int depth)
{
	int fd;

	if (unlinkat(parent, name, 0) == 0 || (errno != EISDIR && errno != EPERM))
		return;
	fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd >= 0)
		empty(fd, depth + 1);
	unlinkat(parent, name, AT_REMOVEDIR);
}

/* Takes the descriptor. */
static void empty(int fd, int depth)
{
	DIR *dir = depth < MAX_DEPTH ? fdopendir(fd) : NULL;
	struct dirent *entry;

	if (!dir) {
		close(fd);
		return;
	}
	while ((entry = readdir(dir)))
		if (!dots(entry->d_name))
			remove_entry(fd, entry->d_name, depth);
	closedir(dir);
}

/* POOL-N of any pool, with a job.json or nothing yet. */
static bool is_job_dir(const char *name)
{
	const char *dash = strrchr(name, '-');
	return dash && dash > name && dash[1] && strspn(dash + 1, "0123456789") == strlen(dash + 1);
}

static bool is_old(const struct sweeping *sweeping, int fd)
{
	struct stat st;
	bool ended = fstatat(fd, "profile.json", &st, AT_SYMLINK_NOFOLLOW) == 0;
	struct stat mark;
	bool failed = !ended || fstatat(fd, "failed", &mark, AT_SYMLINK_NOFOLLOW) == 0;

	if (!ended && fstat(fd, &st) < 0)
		return false;
	return clock_wall_ms() - (int64_t)st.st_mtime * 1000 > (failed ? sweeping->keep_failed_ms : sweeping->keep_ms);
}

static void consider(struct sweeping *sweeping, int parent, const char *name)
{
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int again;

	if (fd < 0)
		return;
	/* Only what a worker made: the directory may hold other things. */
	if (faccessat(fd, "job.json", F_OK, AT_SYMLINK_NOFOLLOW) < 0 || !is_old(sweeping, fd) ||
	    flock(fd, LOCK_EX | LOCK_NB) < 0) {
		close(fd);
		return;
	}
	again = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (again >= 0)
		empty(again, 0);
	if (unlinkat(parent, name, AT_REMOVEDIR) == 0)
		sweeping->removed++;
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
