/* Child processes: started with as little as possible between fork and exec, each in a session of its own, killed by
 * the kernel when the worker dies; their ends are told on the loop. */
#ifndef FLOTILLA_CONSUMER_EXEC_SPAWN_H
#define FLOTILLA_CONSUMER_EXEC_SPAWN_H

#include <signal.h>
#include <stdbool.h>
#include <sys/resource.h>
#include <sys/types.h>
#include <uthash.h>
#include <uv.h>

#include "base/err.h"

struct confinement;

struct child {
	pid_t pid; /* and its process group's number; 0: none */
	int words; /* of a confined one: where it says why it could not be started; else 0 */
	const struct confinement *confinement;
	/* Only while `ended` is called: why it was not even started, or NULL. */
	const char *failure;
	/* It has ended and been reaped, all of its group is killed. `status` is wait's. The child is forgotten. */
	void (*ended)(struct child *child, int status, const struct rusage *usage);
	UT_hash_handle hh;
};

struct children {
	uv_signal_t sigchld;
	struct child *by_pid;
	int null_fd;      /* /dev/null */
	sigset_t signals; /* those that have another disposition than the default */
	bool started;     /* there has been a child: `signals` is known */
};

struct spawn {
	const char *path; /* what is executed; no search */
	char *const *argv;
	char *const *env;
	int dir_fd;                            /* where it starts */
	const char *dir;                       /* the same by its path */
	int in, out, err;                      /* its 0, 1, 2 */
	const struct confinement *confinement; /* NULL: none */
};

/* Watches for ends on `loop`. children_close kills all that still run, without calling `ended`, and closes; `closed`
 * may be NULL. */
int children_open(struct children *children, uv_loop_t *loop, struct err *err);
void children_close(struct children *children, uv_close_cb closed);

/* Starts a program; `child` (with `ended` set) stays the caller's and must live until it is told. On failure ERR_SYSTEM
 * in words, and nothing runs; but of a confined one nobody waits for the start, and what fails then is its end, with
 * `failure` set. Handlers of signals have to be set before the first child. */
int child_spawn(struct children *children, struct child *child, const struct spawn *spawn, struct err *err);
/* A signal to its whole process group. */
void child_signal(const struct child *child, int signal);
/* Whether it has ended already, though that has not been told yet. */
bool child_is_over(const struct child *child);

#endif
