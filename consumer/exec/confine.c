#include "exec/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <inttypes.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "exec/child.h"
#include "exec/internal.h"

#define TMP_SIZE (INT64_C(256) << 20)

struct confinement *confinement_new(void)
{
	struct confinement *confinement = xcalloc(1, sizeof *confinement);
	confinement->tmp_size = TMP_SIZE;
	return confinement;
}

void confinement_free(struct confinement *confinement)
{
	if (!confinement)
		return;
	environ_base_free(confinement->env);
	free(confinement->user);
	free(confinement->groups);
	free(confinement);
}

/* --- the user --- */

/* A name, or a number that has one. */
static const struct passwd *find_user(const char *name)
{
	const struct passwd *found = getpwnam(name);
	char *end;
	unsigned long number;

	if (found || *name < '0' || *name > '9')
		return found;
	errno = 0;
	number = strtoul(name, &end, 10);
	return *end || errno || number > UINT32_MAX - 1 ? NULL : getpwuid((uid_t)number);
}

static char *line(const char *name, const char *value)
{
	struct buf text = BUF_INIT;
	buf_addf(&text, "%s=%s", name, value);
	return buf_detach(&text);
}

/* Nothing of what the worker knows but the way to programs, the language and the time zone. */
static char **user_environment(const struct passwd *user)
{
	static const char *const passed[] = {"PATH",       "LANG",       "LANGUAGE", "LC_ALL",      "LC_CTYPE",
					     "LC_COLLATE", "LC_NUMERIC", "LC_TIME",  "LC_MESSAGES", "TZ"};
	char **env = xcalloc(sizeof passed / sizeof *passed + 5, sizeof *env);
	size_t n = 0;

	for (size_t i = 0; i < sizeof passed / sizeof *passed; i++)
		if (getenv(passed[i]))
			env[n++] = line(passed[i], getenv(passed[i]));
	env[n++] = line("HOME", user->pw_dir && *user->pw_dir ? user->pw_dir : "/");
	env[n++] = line("USER", user->pw_name);
	env[n++] = line("LOGNAME", user->pw_name);
	env[n++] = line("SHELL", user->pw_shell && *user->pw_shell ? user->pw_shell : "/bin/sh");
	return env;
}

/* Its own groups, in place of the worker's. */
static void find_groups(struct confinement *confinement, const struct passwd *user)
{
	int count = 32;

	confinement->groups = xcalloc((size_t)count, sizeof *confinement->groups);
	while (getgrouplist(user->pw_name, user->pw_gid, confinement->groups, &count) < 0)
		confinement->groups = xrealloc(confinement->groups, (size_t)count * sizeof *confinement->groups);
	confinement->group_count = (size_t)count;
}

int confine_set_user(struct confinement *confinement, const char *name, struct err *err)
{
	const struct passwd *user = find_user(name);

	if (!user)
		return err_set(err, ERR_INPUT, "user: there is no user \"%s\" on this machine", name);
	if (confinement->user)
		return 0;
	confinement->user = xstrdup(user->pw_name);
	confinement->uid = user->pw_uid;
	confinement->gid = user->pw_gid;
	confinement->other_user = user->pw_uid != geteuid();
	if (confinement->other_user) {
		confinement->env = user_environment(user);
		find_groups(confinement, user);
	}
	return 0;
}

/* --- whether this worker can --- */

static int check_limits(const struct confinement *confinement, struct err *err)
{
	for (size_t i = 0; i < confinement->limit_count; i++) {
		const struct confine_limit *limit = &confinement->limits[i];
		struct rlimit own;

		if (getrlimit((__rlimit_resource_t)limit->resource, &own) == 0 && limit->hard > own.rlim_max)
			return err_set(err, ERR_USAGE,
				       "limits: %s: more than this worker may have itself (%llu): raise its hard limit "
				       "(ulimit -H, systemd's Limit...=), or give less",
				       limit->name, (unsigned long long)own.rlim_max);
	}
	return 0;
}

int confine_check(struct confinement *confinement, struct err *err)
{
	bool root = geteuid() == 0, isolated = confinement->private_tmp || confinement->no_network;

	if (confinement->other_user && !root)
		return err_set(err, ERR_USAGE,
			       "user: only a worker that runs as root can run jobs as another user: leave it out, or "
			       "start the worker as root or as %s",
			       confinement->user);
	if (isolated && root && !confinement->user)
		return err_set(err, ERR_USAGE,
			       "isolate: its jobs would run as root, who can undo it: name a user as well");
	confinement->user_namespace = isolated && !root;
	snprintf(confinement->uid_map, sizeof confinement->uid_map, "%u %u 1\n", geteuid(), geteuid());
	snprintf(confinement->gid_map, sizeof confinement->gid_map, "%u %u 1\n", getegid(), getegid());
	snprintf(confinement->tmp_options, sizeof confinement->tmp_options, "mode=1777,size=%" PRId64,
		 confinement->tmp_size);
	return root ? 0 : check_limits(confinement, err);
}

static const char *advice(const struct failure *failure, const struct confinement *confinement)
{
	switch (failure->step) {
	case STEP_EXEC: return failure->error == ENOEXEC ? " (a script needs a first line such as #!/bin/sh)" : "";
	case STEP_NAMESPACES:
	case STEP_MAPPING:
	case STEP_TMP:
		return confinement && confinement->user_namespace
			       ? " (isolate: this worker may make no namespaces of users: sysctl "
				 "user.max_user_namespaces, "
				 "kernel.unprivileged_userns_clone, kernel.apparmor_restrict_unprivileged_userns, in a "
				 "container its seccomp profile; or start the worker as root and name a user)"
			       : " (isolate: this worker may make no namespaces: in a container it needs "
				 "CAP_SYS_ADMIN, and "
				 "a seccomp profile and AppArmor that let it mount)";
	case STEP_USER: return " (user: the worker needs CAP_SETUID and CAP_SETGID)";
	case STEP_LIMITS: return " (limits: the worker needs CAP_SYS_RESOURCE to give more than it has)";
	case STEP_REACH: return " (chmod o+x it and all directories above it, or choose another --work-dir)";
	default: return "";
	}
}

int child_words(const struct failure *failure, const char *path, const struct confinement *confinement, struct err *err)
{
	static const char *const steps[] = {
#define X(name, words) words,
		STEP_MAP(X)
#undef X
	};
	return err_set(err, ERR_SYSTEM, "%s: %s: %s%s", path, steps[failure->step], strerror(failure->error),
		       advice(failure, confinement));
}

/* --- trying it --- */

/* Goes the whole way but for the program; then waits to be killed, or for the end of the worker's interest. */
static void try_child(const struct confinement *confinement, const char *dir, pid_t parent, int fd)
{
	struct failure failure = {.step = STEP_NONE, .fd = fd};
	char byte;

	if (chdir(dir) < 0)
		child_fail(&failure, STEP_DIR);
	confine_child(confinement, dir, parent, &failure);
	if (chdir(dir) < 0)
		child_fail(&failure, STEP_REACH);
	if (write(fd, &failure, sizeof failure) == sizeof failure)
		while (read(fd, &byte, 1) < 0 && errno == EINTR)
			;
	_exit(0);
}

static int judge_try(const struct confinement *confinement, const struct failure *failure, pid_t pid, struct err *err)
{
	if (failure->step != STEP_NONE) {
		child_words(failure, "its jobs", confinement, err);
		err->code = ERR_USAGE;
		return ERR_USAGE;
	}
	if (kill(pid, SIGKILL) < 0)
		return err_set(err, ERR_USAGE, "its jobs could not be ended: %s (user: the worker needs CAP_KILL)",
			       strerror(errno));
	return 0;
}

int confine_try(const struct confinement *confinement, const char *work_dir, struct err *err)
{
	struct failure failure = {.step = STEP_NONE};
	pid_t parent = getpid(), pid;
	ssize_t got;
	int fds[2], r;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
		return err_set(err, ERR_SYSTEM, "no socket: %s", strerror(errno));
	pid = fork();
	if (pid == 0) {
		close(fds[0]);
		try_child(confinement, work_dir, parent, fds[1]);
	}
	close(fds[1]);
	if (pid < 0) {
		close(fds[0]);
		return err_set(err, ERR_SYSTEM, "no process: %s", strerror(errno));
	}
	do
		got = read(fds[0], &failure, sizeof failure);
	while (got < 0 && errno == EINTR);
	if (got != sizeof failure)
		r = err_set(err, ERR_USAGE, "a process for its jobs ended for no known reason");
	else
		r = judge_try(confinement, &failure, pid, err);
	close(fds[0]);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	return r;
}
