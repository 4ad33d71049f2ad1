#include "undertaker.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"

#define NAP_MS 10
#define LIMIT_MS 10000 /* for what does not die at once: in the middle of a system call on a disk that is gone */
#define FILE_MAX ((size_t)4 << 20)

/* --- cgroups --- */

/* Adds what a file holds, up to FILE_MAX; nothing where it cannot be read. */
static void read_file(int dir, const char *path, struct buf *text)
{
	CLEANUP(closep) int fd = openat(dir, path, O_RDONLY | O_CLOEXEC);
	ssize_t got = fd < 0 ? 0 : 1;

	buf_grow(text, 0);
	while (got > 0 && text->len < FILE_MAX) {
		buf_grow(text, 4096);
		got = read(fd, text->data + text->len, 4096);
		if (got > 0)
			text->len += (size_t)got;
	}
	text->data[text->len] = '\0';
}

/* Where this process is in the hierarchy of version 2: "0::PATH". */
static char *own_path(void)
{
	CLEANUP(buf_release) struct buf text = BUF_INIT;
	char *rest, *line;

	read_file(AT_FDCWD, "/proc/self/cgroup", &text);
	rest = text.data;
	while (rest && (line = strsep(&rest, "\n")))
		if (strncmp(line, "0::/", 4) == 0 && !strstr(line, "/.."))
			return xstrdup(line + 3);
	return NULL;
}

/* One line of mountinfo: … ROOT MOUNTPOINT OPTIONS … - TYPE …; the directory of `path` there, or NULL. */
static char *path_below(char *line, const char *path)
{
	char *words[5] = {NULL};
	const char *type = strstr(line, " - cgroup2 ");
	struct buf full = BUF_INIT;
	size_t len;

	for (int i = 0; i < 5; i++)
		words[i] = strsep(&line, " ");
	if (!type || !words[4])
		return NULL;
	len = strcmp(words[3], "/") == 0 ? 0 : strlen(words[3]);
	if (strncmp(path, words[3], len) != 0 || (path[len] != '\0' && path[len] != '/'))
		return NULL;
	buf_addf(&full, "%s%s", words[4], path + len);
	return buf_detach(&full);
}

static char *own_directory(void)
{
	CLEANUP(freep) char *path = own_path();
	CLEANUP(buf_release) struct buf text = BUF_INIT;
	char *rest, *line, *found = NULL;

	if (!path)
		return NULL;
	read_file(AT_FDCWD, "/proc/self/mountinfo", &text);
	rest = text.data;
	while (rest && !found && (line = strsep(&rest, "\n")))
		found = path_below(line, path);
	return found;
}

static bool can_kill(const char *cgroup)
{
	struct buf path = BUF_INIT;
	bool can;

	buf_addf(&path, "%s/cgroup.kill", cgroup);
	can = access(path.data, W_OK) == 0;
	buf_release(&path);
	return can;
}

/* A new cgroup below this process' own, or NULL. */
static char *make_cgroup(const char *key)
{
	CLEANUP(freep) char *own = own_directory();
	struct buf path = BUF_INIT;

	if (!own)
		return NULL;
	buf_addf(&path, "%s/flotillad-%d-%.8s", own, (int)getpid(), key);
	if (mkdir(path.data, 0755) < 0) {
		buf_release(&path);
		return NULL;
	}
	if (!can_kill(path.data)) {
		rmdir(path.data);
		buf_release(&path);
		return NULL;
	}
	return buf_detach(&path);
}

static bool write_to(const char *cgroup, const char *name, const char *text)
{
	CLEANUP(closep) int dir = open(cgroup, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CLEANUP(closep) int fd = dir < 0 ? -1 : openat(dir, name, O_WRONLY | O_CLOEXEC);

	return fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
}

/* --- /proc --- */

/* Whether `line` is one of the texts of a process' environment. */
static bool has_line(int proc, const char *pid, const char *line)
{
	CLEANUP(closep) int dir = openat(proc, pid, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CLEANUP(buf_release) struct buf text = BUF_INIT;
	size_t len = strlen(line) + 1;

	if (dir < 0)
		return false;
	buf_add(&text, "", 1); /* so that each text has a NUL before it */
	read_file(dir, "environ", &text);
	for (size_t at = 0; at + len < text.len; at++)
		if (text.data[at] == '\0' && memcmp(text.data + at + 1, line, len) == 0)
			return true;
	return false;
}

/* The descriptor is taken first: if the number was given to another process meanwhile, the signal goes nowhere. */
static bool kill_if_ours(int proc, const char *pid, const char *line)
{
	CLEANUP(closep) int fd = (int)syscall(SYS_pidfd_open, (pid_t)strtol(pid, NULL, 10), 0);

	return fd >= 0 && has_line(proc, pid, line) && syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0) == 0;
}

/* How many were killed. */
static int kill_marked(const char *line)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	int killed = 0;

	while (proc && (entry = readdir(proc)))
		if (isdigit((unsigned char)entry->d_name[0]) && kill_if_ours(dirfd(proc), entry->d_name, line))
			killed++;
	if (proc)
		closedir(proc);
	return killed;
}

/* --- the process --- */

static void nap(void) { poll(NULL, 0, NAP_MS); }

/* What is found may have started another a moment before it died: so it looks until there is nothing left. */
static void bury(const char *cgroup, const char *key)
{
	int64_t end = clock_mono_ms() + LIMIT_MS;
	struct buf line = BUF_INIT;

	if (cgroup)
		write_to(cgroup, "cgroup.kill", "1");
	buf_addf(&line, "FLOTILLA_WORKER=%s", key);
	while (kill_marked(line.data) > 0 && clock_mono_ms() < end)
		nap();
	buf_release(&line);
	/* refused until the last of them is gone */
	while (cgroup && rmdir(cgroup) < 0 && errno == EBUSY && clock_mono_ms() < end)
		nap();
}

/* Nothing of the worker's but the pipe; in a session of its own, and deaf to what ends the worker's. */
static void detach(int alive)
{
	int null = open("/dev/null", O_RDWR);

	setsid();
	for (int i = 1; i < NSIG; i++)
		if (i != SIGKILL && i != SIGSTOP && i != SIGSEGV && i != SIGBUS && i != SIGABRT)
			signal(i, SIG_IGN);
	for (int fd = 0; fd < 3 && null >= 0; fd++)
		dup2(null, fd);
	dup2(alive, 3);
	close_range(4, ~0U, 0);
	if (chdir("/") < 0)
		_exit(1);
	prctl(PR_SET_NAME, "flotillad-end");
}

static void wait_and_bury(int alive, const char *cgroup, const char *key)
{
	char byte;
	ssize_t got;

	detach(alive);
	do
		got = read(3, &byte, 1);
	while (got > 0 || (got < 0 && errno == EINTR));
	bury(cgroup, key);
	_exit(0);
}

/* Forked twice, so that it is no child of the worker's, which waits for any. */
static bool start(int fds[2], const char *cgroup, const char *key)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		pid = fork();
		if (pid == 0) {
			close(fds[1]);
			wait_and_bury(fds[0], cgroup, key);
		}
		_exit(pid < 0);
	}
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

void undertaker_start(struct undertaker *ret)
{
	CLEANUP(freep) char *cgroup = NULL;
	int fds[2];

	*ret = (struct undertaker){.alive = -1};
	random_hex(ret->key, (UNDERTAKER_KEY - 1) / 2);
	if (pipe2(fds, O_CLOEXEC) < 0) {
		log_warn("what jobs leave running outlives this worker if it is killed: no pipe: %s", strerror(errno));
		return;
	}
	cgroup = make_cgroup(ret->key);
	if (!start(fds, cgroup, ret->key)) {
		log_warn("what jobs leave running outlives this worker if it is killed: no process for that: %s",
			 strerror(errno));
		close(fds[1]);
		if (cgroup)
			rmdir(cgroup);
	} else {
		ret->alive = fds[1];
		if (cgroup && !write_to(cgroup, "cgroup.procs", "0"))
			log_debug("cgroup %s: %s; doing without", cgroup, strerror(errno));
	}
	close(fds[0]);
}
