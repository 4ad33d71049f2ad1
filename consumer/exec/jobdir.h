/* The directory of an attempt of its own: WORK_DIR/POOL-N. */
#ifndef FLOTILLA_CONSUMER_EXEC_JOBDIR_H
#define FLOTILLA_CONSUMER_EXEC_JOBDIR_H

#include "exec/internal.h"

struct jobdir {
	char *path;
	/* Open while the attempt runs, and locked (flock) so that no worker sweeps it away; -1: none. */
	int fd;
	int out, err; /* its files stdout and stderr */
	uid_t owner;  /* whose it is: the job's user */
};

#define JOBDIR_INIT                                                                                                    \
	{                                                                                                              \
		NULL, -1, -1, -1, 0                                                                                    \
	}

/* Makes the next directory there is no such of, with empty stdout and stderr and a complete job.json, for the
 * handler's user alone. ERR_SYSTEM in words; `ret` can be released either way. */
int jobdir_make(struct executor *executor, const struct attempt *attempt, struct jobdir *ret, struct err *err);
void jobdir_release(struct jobdir *dir);

/* The number after the highest there is for this pool. */
int64_t jobdir_first_number(const char *work_dir, const char *pool);

#define RESULT_MAX (64 * 1024)
/* What the job left as `result`, as compact JSON in `ret` (empty where there is none, or null). ERR_INPUT in words. */
int jobdir_result(const struct jobdir *dir, struct buf *ret, struct err *err);

/* Writes profile.json, the last thing that is written; before it `failed`, where it failed (for the sweep). */
void jobdir_profile(const struct jobdir *dir, const struct attempt *attempt, bool failed, int status,
		    const struct rusage *usage, int64_t wall_ms);

#endif
