/* At the start of a worker: every handler gets what it asks for, or the worker does not start. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "exec/confine.h"
#include "exec/internal.h"

static bool starts_processes(const struct handler *handler) { return handler->kind->wants_results; }

/* Whoever may write there could put a link in the place of a directory that the worker is about to make. */
static int check_work_dir(const struct executor *executor, struct err *err)
{
	struct stat st;

	if (stat(executor->work_dir, &st) < 0)
		return err_set(err, ERR_USAGE, "the work directory %s: %s", executor->work_dir, strerror(errno));
	if ((st.st_uid != 0 && st.st_uid != geteuid()) || (st.st_mode & (S_IWGRP | S_IWOTH)))
		return err_set(err, ERR_USAGE,
			       "the work directory %s can be written to by others, and jobs run as other users: chmod "
			       "go-w it, as a directory of root's",
			       executor->work_dir);
	return 0;
}

static int confine(const struct executor *executor, struct handler *handler, const char *file, struct err *err)
{
	int r = confine_check(handler->confinement, err);

	if (r == 0 && handler->confinement->other_user)
		r = check_work_dir(executor, err);
	if (r == 0)
		r = confine_try(handler->confinement, executor->work_dir, err);
	if (r == 0)
		return 0;
	if (handler->line > 0)
		err_prefix(err, "%s:%d: the handler %s", file, handler->line, handler->name);
	else
		err_prefix(err, "the handler %s", handler->name);
	err->code = ERR_USAGE;
	return ERR_USAGE;
}

static int set_job_user(struct handler *handler, const char *user, struct err *err)
{
	if (!handler->confinement)
		handler->confinement = confinement_new();
	if (confine_set_user(handler->confinement, user, err) < 0) {
		err_prefix(err, "job_user");
		err->code = ERR_USAGE;
		return ERR_USAGE;
	}
	return 0;
}

/* Nothing to do for processes: those are started as fast as ever. */
static bool is_idle(const struct confinement *confinement)
{
	return !confinement->other_user && confinement->limit_count == 0 && !confinement->private_tmp &&
	       !confinement->no_network;
}

int confine_handlers(struct executor *executor, const struct exec_options *options, struct err *err)
{
	bool as_root = false;

	for (size_t i = 0; i < executor->handlers.count; i++) {
		struct handler *handler = &executor->handlers.items[i];

		if (!starts_processes(handler) || !executor_has(executor, handler))
			continue;
		if (options->job_user && *options->job_user && set_job_user(handler, options->job_user, err) < 0)
			return err->code;
		as_root |= geteuid() == 0 && (!handler->confinement || !handler->confinement->user);
		if (!handler->confinement)
			continue;
		if (confine(executor, handler, options->handlers_file, err) < 0)
			return err->code;
		if (is_idle(handler->confinement)) {
			confinement_free(handler->confinement);
			handler->confinement = NULL;
		}
	}
	if (as_root)
		log_debug("jobs run as root, since their handlers name no user and there is no job_user");
	return 0;
}
