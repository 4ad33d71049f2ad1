#include "exec/spawn.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "exec/child.h"
#include "exec/confine.h"

noreturn void child_fail(struct failure *failure, enum step step)
{
	failure->error = errno;
	failure->step = step;
	if (failure->fd >= 0 && write(failure->fd, failure, sizeof *failure) < 0)
		_exit(126);
	_exit(127);
}

/* Looking at all sixty for each child costs more than its session, directory and files. */
static void look_at_signals(struct children *children)
{
	struct sigaction action;

	sigemptyset(&children->signals);
	for (int i = 1; i < NSIG; i++)
		if (sigaction(i, NULL, &action) == 0 && action.sa_handler != SIG_DFL)
			sigaddset(&children->signals, i);
	children->started = true;
}

/* Handlers of the worker's must not run in the child, which shares its memory; ignored signals would stay ignored. */
static void reset_signals(const sigset_t *changed) NOT_SANITIZED;
static void reset_signals(const sigset_t *changed)
{
	struct sigaction action;

	memset(&action, 0, sizeof action);
	action.sa_handler = SIG_DFL;
	for (int i = 1; i < NSIG; i++)
		if (sigismember(changed, i))
			sigaction(i, &action, NULL);
	sigprocmask(SIG_SETMASK, &action.sa_mask, NULL);
}

#define FEW 4096 /* what a worker has open at most, where nobody tells */

/* Also where a filter of system calls does not know close_range: not all that libraries open is closed by exec. */
static void close_from(int first) NOT_SANITIZED;
static void close_from(int first)
{
	_Alignas(struct dirent64) char entries[1024];
	long size = 0;
	int list;

	if (close_range((unsigned)first, ~0U, 0) == 0)
		return;
	/* the limit may be a billion; and this is between vfork and exec, where opendir must not be called */
	list = open("/proc/self/fd", O_RDONLY | O_DIRECTORY);
	while (list >= 0 && (size = syscall(SYS_getdents64, list, entries, sizeof entries)) > 0)
		for (char *at = entries; at < entries + size; at += ((struct dirent64 *)at)->d_reclen) {
			int fd = (int)strtol(((struct dirent64 *)at)->d_name, NULL, 10);
			if (fd >= first && fd != list)
				close(fd);
		}
	if (list < 0 || size < 0)
		for (int fd = first; fd < FEW; fd++)
			close(fd);
	else
		close(list);
}

/* dup2 clears close-on-exec, but not where both numbers are the same: none of ours is below 3 (children_open). What
 * takes the words of a failure is kept as 3, until exec. */
static bool place_files(const struct spawn *spawn, struct failure *failure) NOT_SANITIZED;
static bool place_files(const struct spawn *spawn, struct failure *failure)
{
	if (dup2(spawn->in, 0) < 0 || dup2(spawn->out, 1) < 0 || dup2(spawn->err, 2) < 0)
		return false;
	if (failure->fd > 3) {
		if (dup3(failure->fd, 3, O_CLOEXEC) < 0)
			return false;
		failure->fd = 3;
	}
	close_from(failure->fd < 0 ? 3 : 4);
	return true;
}

/* In the child, mostly on memory shared with the worker: system calls only. */
static void run_child(const struct spawn *spawn, const sigset_t *changed, pid_t parent,
		      struct failure *failure) NOT_SANITIZED;
static void run_child(const struct spawn *spawn, const sigset_t *changed, pid_t parent, struct failure *failure)
{
	if (setsid() < 0)
		child_fail(failure, STEP_SESSION);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* The worker may have died before that was set. */
	if (getppid() != parent)
		_exit(127);
	reset_signals(changed);
	if (fchdir(spawn->dir_fd) < 0)
		child_fail(failure, STEP_DIR);
	if (!place_files(spawn, failure))
		child_fail(failure, STEP_FILES);
	if (spawn->confinement)
		confine_child(spawn->confinement, spawn->dir, parent, failure);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	execve(spawn->path, spawn->argv, spawn->env);
	child_fail(failure, STEP_EXEC);
}

/* A confined one does not share the worker's memory: for a moment it is another user's process. */
static pid_t fork_and_exec(const struct spawn *spawn, const sigset_t *changed, struct failure *failure)
{
	sigset_t all, before;
	pid_t parent = getpid();
	pid_t pid;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	if (spawn->confinement)
		pid = fork();
	else
		pid = vfork();
	if (pid == 0)
		run_child(spawn, changed, parent, failure);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return pid;
}

static void forget_words(struct child *child)
{
	if (child->words > 0)
		close(child->words);
	child->words = 0;
}

/* Nobody waits for it: to make namespaces may take the kernel longer than the loop has. */
static int start_confined(struct children *children, struct child *child, const struct spawn *spawn,
			  struct failure *failure, pid_t *ret, struct err *err)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0)
		return err_set(err, ERR_SYSTEM, "%s: no pipe: %s", spawn->path, strerror(errno));
	failure->fd = fds[1];
	*ret = fork_and_exec(spawn, &children->signals, failure);
	close(fds[1]);
	child->words = fds[0];
	return 0;
}

int child_spawn(struct children *children, struct child *child, const struct spawn *spawn, struct err *err)
{
	struct failure failure = {STEP_NONE, 0, -1};
	pid_t pid = -1;

	if (!children->started)
		look_at_signals(children);
	child->confinement = spawn->confinement;
	child->failure = NULL;
	child->words = 0;
	if (!spawn->confinement)
		pid = fork_and_exec(spawn, &children->signals, &failure);
	else if (start_confined(children, child, spawn, &failure, &pid, err) < 0)
		return err->code;
	if (pid < 0) {
		err_set(err, ERR_SYSTEM, "%s: no further process can be started: %s", spawn->path, strerror(errno));
		forget_words(child);
		return ERR_SYSTEM;
	}
	if (failure.step != STEP_NONE) {
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			;
		return child_words(&failure, spawn->path, NULL, err);
	}
	child->pid = pid;
	HASH_ADD(hh, children->by_pid, pid, sizeof child->pid, child);
	return 0;
}

void child_signal(const struct child *child, int signal)
{
	if (child->pid > 0)
		kill(-child->pid, signal);
}

bool child_is_over(const struct child *child)
{
	siginfo_t info = {0};
	return waitid(P_PID, (id_t)child->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid != 0;
}

/* Whether it ended before its program began. */
static bool read_words(struct child *child, struct err *err)
{
	struct failure failure;
	bool failed = child->words > 0 && read(child->words, &failure, sizeof failure) == sizeof failure;

	forget_words(child);
	if (failed)
		child_words(&failure, "the process", child->confinement, err);
	return failed;
}

/* While it is a zombie its number is not used again, so the group that is killed is its own. */
static void reap(struct children *children, struct child *child)
{
	struct rusage usage;
	struct err err;
	int status;

	child_signal(child, SIGKILL);
	if (wait4(child->pid, &status, WNOHANG, &usage) != child->pid)
		return;
	HASH_DEL(children->by_pid, child);
	child->pid = 0;
	if (read_words(child, &err))
		child->failure = err.text;
	child->ended(child, status, &usage);
}

static void reap_each(struct children *children)
{
	struct child *child, *next;
	/* `ended` may start another child, or drop one: look again from the start. */
again:
	HASH_ITER(hh, children->by_pid, child, next)
	{
		if (child_is_over(child)) {
			reap(children, child);
			goto again;
		}
	}
}

static void on_sigchld(uv_signal_t *handle, int signal)
{
	struct children *children = handle->data;

	(void)signal;
	for (;;) {
		siginfo_t info = {0};
		struct child *child;
		pid_t pid;

		if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || info.si_pid == 0)
			return;
		pid = info.si_pid;
		HASH_FIND(hh, children->by_pid, &pid, sizeof pid, child);
		if (child) {
			reap(children, child);
		} else if (getpid() == 1) {
			/* As a container's first process it inherits every orphan. */
			waitpid(pid, NULL, WNOHANG);
		} else {
			/* Somebody else's, who will reap it; it hides the others from P_ALL. */
			reap_each(children);
			return;
		}
	}
}

int children_open(struct children *children, uv_loop_t *loop, struct err *err)
{
	int fd;

	*children = (struct children){.null_fd = -1};
	/* Fills 0, 1 and 2 where the worker was started without them. */
	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd < 3);
	if (fd < 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0) {
		if (fd >= 0)
			close(fd);
		return err_set(err, ERR_SYSTEM, "/dev/null cannot be opened: %s", strerror(errno));
	}
	children->null_fd = fd;
	uv_signal_init(loop, &children->sigchld);
	children->sigchld.data = children;
	uv_signal_start(&children->sigchld, on_sigchld, SIGCHLD);
	return 0;
}

static void kill_now(struct child *child)
{
	child_signal(child, SIGKILL);
	while (waitpid(child->pid, NULL, 0) < 0 && errno == EINTR)
		;
	child->pid = 0;
	forget_words(child);
}

void children_close(struct children *children, uv_close_cb closed)
{
	struct child *child, *next;

	/* All signals first, so that they end side by side. */
	HASH_ITER(hh, children->by_pid, child, next) { child_signal(child, SIGKILL); }
	HASH_ITER(hh, children->by_pid, child, next)
	{
		HASH_DEL(children->by_pid, child);
		kill_now(child);
	}
	close(children->null_fd);
	uv_close((uv_handle_t *)&children->sigchld, closed);
}
