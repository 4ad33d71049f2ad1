/* The run's record: its name, and the digest of the file that it was made of. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "run.h"

static char *default_dir(const char *name)
{
	CLEANUP(freep) char *here = getcwd(NULL, 0);
	struct buf dir = BUF_INIT;

	buf_addf(&dir, "%s/flotilla-runs/%s", here ? here : "", name);
	return buf_detach(&dir);
}

static char *absolute(const char *dir)
{
	CLEANUP(freep) char *here = getcwd(NULL, 0);
	struct buf ret = BUF_INIT;

	if (dir[0] != '/')
		buf_addf(&ret, "%s/", here ? here : "");
	buf_adds(&ret, dir);
	return buf_detach(&ret);
}

static int count_up(struct run *run, struct err *err)
{
	CLEANUP(store_reply_freep)
	struct store_reply *number = session_ask(run->session, "INCR", KEY_RUN_COUNTER, run->workflow->name, err);
	struct buf name = BUF_INIT;

	if (!number)
		return err->code;
	buf_addf(&name, "%s-%lld", run->workflow->name, (long long)store_reply_int(number));
	run->name = buf_detach(&name);
	return 0;
}

static int other_file(const struct run *run, bool made, struct err *err)
{
	if (!made)
		return err_set(err, ERR_USAGE,
			       "a run %s exists already and was not made from a file; choose another --name",
			       run->name);
	return err_set(err, ERR_USAGE,
		       "the run %s exists already, made from another file (or other --set or --replay values); choose "
		       "another --name",
		       run->name);
}

/* The first who writes the digest has the name; all others compare. */
static int take_name(struct run *run, struct err *err)
{
	struct store *store = run->session->store;
	const char *digest = run->workflow->digest;
	CLEANUP(store_reply_freep) struct store_reply *before = NULL, *set = NULL, *now = NULL;

	before = session_ask(run->session, "HGETALL", KEY_RUN, run->name, err);
	if (!before)
		return err->code;
	if (store_reply_count(before) &&
	    (!store_field(before, "file") || strcmp(store_field(before, "file"), digest) != 0))
		return other_file(run, store_field(before, "file") != NULL, err);
	set = store_sync(store, SESSION_ANSWER_MS, err, "HSETNX %k file %s", KEY_RUN, run->name, digest);
	now = set ? store_sync(store, SESSION_ANSWER_MS, err, "HGET %k file", KEY_RUN, run->name) : NULL;
	if (!now)
		return err->code;
	if (store_reply_error(set))
		return err_set(err, ERR_INPUT, "Redis says: %s", store_reply_error(set));
	if (strcmp(store_reply_text(now, NULL), digest) != 0)
		return other_file(run, true, err);
	run->existed = store_reply_count(before) > 0;
	return 0;
}

/* Jobs that are submitted later have to find the same directory. */
static int take_dir(struct run *run, const char *wanted, struct err *err)
{
	CLEANUP(freep) char *dir = wanted ? absolute(wanted) : default_dir(run->name);
	CLEANUP(store_reply_freep) struct store_reply *set = NULL, *now = NULL;
	struct store *store = run->session->store;

	set = store_sync(store, SESSION_ANSWER_MS, err, "HSETNX %k shared_dir %s", KEY_RUN, run->name, dir);
	now = set ? store_sync(store, SESSION_ANSWER_MS, err, "HGET %k shared_dir", KEY_RUN, run->name) : NULL;
	if (!now)
		return err->code;
	run->shared_dir = xstrdup(store_reply_text(now, NULL));
	return 0;
}

int run_claim(struct run *run, const char *wanted, const char *shared_dir, struct err *err)
{
	CLEANUP(store_reply_freep) struct store_reply *set = NULL;
	int r = 0;

	if (wanted)
		run->name = xstrdup(wanted);
	do { /* a counted name may have been taken by hand */
		if (!wanted) {
			free(run->name);
			run->name = NULL;
			if (count_up(run, err) < 0)
				return err->code;
		}
		r = take_name(run, err);
	} while (!wanted && (r == ERR_USAGE || (r == 0 && run->existed)));
	if (r < 0)
		return r;
	set = store_sync(run->session->store, SESSION_ANSWER_MS, err, "HSET %k name %s", KEY_RUN, run->name,
			 run->workflow->name);
	if (!set)
		return err->code;
	return run->workflow->replay ? take_dir(run, shared_dir, err) : 0;
}

void run_release(struct run *run)
{
	free(run->name);
	free(run->shared_dir);
	run->name = run->shared_dir = NULL;
}
