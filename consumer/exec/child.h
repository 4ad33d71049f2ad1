/* Between fork and exec: system calls only, and how a child tells what failed. */
#ifndef FLOTILLA_CONSUMER_EXEC_CHILD_H
#define FLOTILLA_CONSUMER_EXEC_CHILD_H

#include <stdnoreturn.h>

#include <sys/types.h>

#include "base/err.h"

#if defined(__clang__)
#define NOT_SANITIZED __attribute__((no_sanitize("address", "undefined", "thread")))
#else
#define NOT_SANITIZED __attribute__((no_sanitize_address, no_sanitize_undefined, no_sanitize_thread))
#endif

/* What it fails with, in words. */
#define STEP_MAP(X)                                                                                                    \
	X(STEP_NONE, "")                                                                                               \
	X(STEP_SESSION, "cannot get a session of its own")                                                             \
	X(STEP_FILES, "cannot set up its files")                                                                       \
	X(STEP_DIR, "cannot enter its directory")                                                                      \
	X(STEP_NAMESPACES, "cannot be isolated")                                                                       \
	X(STEP_MAPPING, "cannot stay the worker's user in a namespace of users")                                       \
	X(STEP_TMP, "cannot have a private /tmp")                                                                      \
	X(STEP_LIMITS, "cannot be limited")                                                                            \
	X(STEP_USER, "cannot become its user")                                                                         \
	X(STEP_REACH, "cannot reach the work directory as its user")                                                   \
	X(STEP_EXEC, "cannot be started")

enum step {
#define X(name, words) name,
	STEP_MAP(X)
#undef X
};

struct failure {
	volatile enum step step; /* STEP_NONE: nothing has failed */
	volatile int error;
	int fd; /* where it is written to as well; -1: the memory is the parent's */
};

/* errno is the cause. */
noreturn void child_fail(struct failure *failure, enum step step) NOT_SANITIZED;
/* confine_child.c: in a child of fork, with its files and signals in place and its directory `dir`, entered. System
 * calls only. What fails ends it. */
struct confinement;
void confine_child(const struct confinement *confinement, const char *dir, pid_t parent,
		   struct failure *failure) NOT_SANITIZED;
/* Fills `err` with what failed, and what can be done about it. Returns ERR_SYSTEM. */
int child_words(const struct failure *failure, const char *path, const struct confinement *confinement,
		struct err *err);

#endif
