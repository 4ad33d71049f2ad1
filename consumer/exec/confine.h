/* What a handler's processes may not do: who they are, how much they may take, what they do not see.
 *
 *	confine_keys.c   `user`, `limits` and `isolate` of the handlers file
 *	confine.c        what becomes of them on this worker: checked, and tried, at its start
 *	confine_child.c  between fork and exec
 *
 * Two ways, by the rights that the worker has. As root it makes namespaces and limits, and then becomes the user for
 * good. As another user it can become nobody else; the namespaces come with one of users, in which it is itself. */
#ifndef FLOTILLA_CONSUMER_EXEC_CONFINE_H
#define FLOTILLA_CONSUMER_EXEC_CONFINE_H

#include <stdbool.h>
#include <sys/resource.h>
#include <sys/types.h>

#include "base/err.h"

#define CONFINE_LIMITS 6

struct confinement {
	/* user: its name; NULL: the worker's */
	char *user;
	bool other_user; /* it is not the worker's: the rest of these is set, and the worker is root */
	uid_t uid;
	gid_t gid;
	gid_t *groups;
	size_t group_count;
	char **env; /* what its processes start from, in place of the worker's environment; NULL-terminated */
	/* limits: those that are said */
	struct confine_limit {
		int resource;
		const char *name;
		rlim_t soft, hard;
	} limits[CONFINE_LIMITS];
	size_t limit_count;
	/* isolate */
	bool private_tmp, no_network;
	int64_t tmp_size;
	/* for the child, which can compute nothing */
	bool user_namespace;
	char uid_map[32], gid_map[32], tmp_options[64];
};

struct confinement *confinement_new(void);
void confinement_free(struct confinement *confinement);

/* Takes a user by name or number, in place of what there was. ERR_INPUT in words. */
int confine_set_user(struct confinement *confinement, const char *name, struct err *err);
/* All is said: whether this worker may give it, by its rights and its own limits. ERR_USAGE in words. */
int confine_check(struct confinement *confinement, struct err *err);
/* Starts a process so, which ends at once: what the kernel forbids is known before the first job. Its directory is
 * `work_dir`, which it must be able to pass through. Waits for it. ERR_USAGE in words, with what to do. */
int confine_try(const struct confinement *confinement, const char *work_dir, struct err *err);

/* A path that `tmp: private` hides. */
bool confine_hides(const char *path);

#endif
