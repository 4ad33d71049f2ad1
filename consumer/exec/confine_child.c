#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "exec/child.h"
#include "exec/confine.h"

/* The C library's functions would tell the process' other threads, of which a child has none. */
#if defined(SYS_setresuid32)
#define SET_UID SYS_setresuid32
#define SET_GID SYS_setresgid32
#define SET_GROUPS SYS_setgroups32
#else
#define SET_UID SYS_setresuid
#define SET_GID SYS_setresgid
#define SET_GROUPS SYS_setgroups
#endif

static const char *const hidden[] = {"/tmp", "/var/tmp", "/dev/shm"};
#define HIDDEN (sizeof hidden / sizeof *hidden)

bool confine_hides(const char *path)
{
	for (size_t i = 0; i < HIDDEN; i++) {
		size_t len = strlen(hidden[i]);
		if (strncmp(path, hidden[i], len) == 0 && (path[len] == '/' || path[len] == '\0'))
			return true;
	}
	return false;
}

static bool write_text(const char *path, const char *text) NOT_SANITIZED;
static bool write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool written = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
	int error = errno;

	if (fd >= 0)
		close(fd);
	errno = error;
	return written;
}

static void make_namespaces(const struct confinement *confinement, struct failure *failure) NOT_SANITIZED;
static void make_namespaces(const struct confinement *confinement, struct failure *failure)
{
	int flags = (confinement->user_namespace ? CLONE_NEWUSER : 0) | (confinement->private_tmp ? CLONE_NEWNS : 0) |
		    (confinement->no_network ? CLONE_NEWNET : 0);

	if (unshare(flags) < 0)
		child_fail(failure, STEP_NAMESPACES);
	if (confinement->user_namespace &&
	    (!write_text("/proc/self/setgroups", "deny") || !write_text("/proc/self/uid_map", confinement->uid_map) ||
	     !write_text("/proc/self/gid_map", confinement->gid_map)))
		child_fail(failure, STEP_MAPPING);
}

/* The directories above the last part of `path`, and that one. */
static bool make_path(const char *path) NOT_SANITIZED;
static bool make_path(const char *path)
{
	char copy[PATH_MAX];
	size_t len = strlen(path);

	if (len >= sizeof copy) {
		errno = ENAMETOOLONG;
		return false;
	}
	for (size_t i = 0; i <= len; i++) {
		copy[i] = path[i];
		if (i == 0 || (path[i] != '/' && path[i] != '\0'))
			continue;
		copy[i] = '\0';
		if (mkdir(copy, 0755) < 0 && errno != EEXIST)
			return false;
		copy[i] = path[i];
	}
	return true;
}

/* A directory of the job's below one of those is put back at its place. */
static void make_tmp(const struct confinement *confinement, const char *dir, struct failure *failure) NOT_SANITIZED;
static void make_tmp(const struct confinement *confinement, const char *dir, struct failure *failure)
{
	struct stat st;

	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		child_fail(failure, STEP_TMP);
	for (size_t i = 0; i < HIDDEN; i++) {
		if (stat(hidden[i], &st) < 0)
			continue;
		if (mount("tmpfs", hidden[i], "tmpfs", MS_NOSUID | MS_NODEV, confinement->tmp_options) < 0)
			child_fail(failure, STEP_TMP);
	}
	if (confine_hides(dir) && (!make_path(dir) || mount(".", dir, NULL, MS_BIND, NULL) < 0 || chdir(dir) < 0))
		child_fail(failure, STEP_TMP);
}

/* So that a program can talk to itself. Without it there is no network all the same. */
static void raise_loopback(void) NOT_SANITIZED;
static void raise_loopback(void)
{
	struct ifreq request;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return;
	memset(&request, 0, sizeof request);
	memcpy(request.ifr_name, "lo", 3);
	request.ifr_flags = IFF_UP | IFF_RUNNING;
	ioctl(fd, SIOCSIFFLAGS, &request);
	close(fd);
}

static void set_limits(const struct confinement *confinement, struct failure *failure) NOT_SANITIZED;
static void set_limits(const struct confinement *confinement, struct failure *failure)
{
	for (size_t i = 0; i < confinement->limit_count; i++) {
		const struct confine_limit *limit = &confinement->limits[i];
		struct rlimit value = {.rlim_cur = limit->soft, .rlim_max = limit->hard};
		if (setrlimit((__rlimit_resource_t)limit->resource, &value) < 0)
			child_fail(failure, STEP_LIMITS);
	}
}

static void become(const struct confinement *confinement, struct failure *failure) NOT_SANITIZED;
static void become(const struct confinement *confinement, struct failure *failure)
{
	uid_t uid = confinement->uid;
	gid_t gid = confinement->gid;

	if (syscall(SET_GROUPS, confinement->group_count, confinement->groups) < 0 ||
	    syscall(SET_GID, gid, gid, gid) < 0 || syscall(SET_UID, uid, uid, uid) < 0)
		child_fail(failure, STEP_USER);
}

void confine_child(const struct confinement *confinement, const char *dir, pid_t parent, struct failure *failure)
{
	umask(022);
	if (confinement->private_tmp || confinement->no_network)
		make_namespaces(confinement, failure);
	if (confinement->private_tmp)
		make_tmp(confinement, dir, failure);
	if (confinement->no_network)
		raise_loopback();
	set_limits(confinement, failure);
	if (!confinement->other_user)
		return;
	become(confinement, failure);
	/* Who becomes another loses it. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(127);
}
