#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "exec/internal.h"
#include "exec/runner.h"

#define OURS "FLOTILLA_"

struct list {
	char **items;
	size_t count, room;
};

/* Replaces what has the same name. */
static void set(struct list *list, const char *name, const char *value)
{
	struct buf line = BUF_INIT;
	size_t len = strlen(name);
	size_t at = 0;

	buf_addf(&line, "%s=%s", name, value);
	while (at < list->count && (strncmp(list->items[at], line.data, len + 1) != 0))
		at++;
	if (at < list->count) {
		free(list->items[at]);
		list->items[at] = buf_detach(&line);
		return;
	}
	if (list->count + 1 >= list->room) {
		list->room = list->room ? list->room * 2 : 64;
		list->items = xrealloc(list->items, list->room * sizeof *list->items);
	}
	list->items[list->count++] = buf_detach(&line);
	list->items[list->count] = NULL;
}

static struct list copy(char *const *env, bool ours_too)
{
	struct list list = {0};
	size_t count = 0;

	while (env && env[count])
		count++;
	list.room = count + 16;
	list.items = xcalloc(list.room, sizeof *list.items);
	for (size_t i = 0; i < count; i++)
		if (ours_too || strncmp(env[i], OURS, strlen(OURS)) != 0)
			list.items[list.count++] = xstrdup(env[i]);
	return list;
}

char **environ_base(void) { return copy(environ, false).items; }

void environ_free(char **env)
{
	for (size_t i = 0; env && env[i]; i++)
		free(env[i]);
	free(env);
}

const char *environ_get(char *const *env, const char *name)
{
	size_t len = strlen(name);
	for (; *env; env++)
		if (strncmp(*env, name, len) == 0 && (*env)[len] == '=')
			return *env + len + 1;
	return NULL;
}

char **environ_for(const struct executor *executor, const struct handler *handler, const struct attempt *attempt,
		   const char *dir)
{
	struct list list = copy(executor->base_env, true);
	char number[24];

	if (attempt) {
		const struct job *job = attempt->job;
		for (size_t i = 0; i < job->env_count; i++)
			set(&list, job->env[i].key, job->env[i].value);
		snprintf(number, sizeof number, "%lld", (long long)attempt->number);
		set(&list, OURS "ID", job->id);
		set(&list, OURS "TASK", job->task);
		set(&list, OURS "ATTEMPT", number);
		set(&list, OURS "RUN", job->run ? job->run : "");
		set(&list, OURS "JOB_DIR", dir);
	}
	/* after the job's own: it is what finds them when the worker is killed (undertaker.h) */
	if (executor->worker_key[0])
		set(&list, OURS "WORKER", executor->worker_key);
	if (handler->services) {
		set(&list, OURS "AMQP_URL", executor->amqp_url);
		set(&list, OURS "REDIS_URL", executor->redis_url);
		set(&list, OURS "PREFIX", executor->prefix);
	}
	return list.items;
}

static bool executable(const char *path)
{
	struct stat st;
	return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

static int from_base(const char *program, const char *base, char **ret, struct err *err)
{
	struct buf path = BUF_INIT;

	if (*program == '/')
		buf_adds(&path, program);
	else
		buf_addf(&path, "%s/%s", base, program);
	if (!executable(path.data)) {
		int cause = access(path.data, F_OK) < 0 ? errno : 0;
		if (cause)
			err_set(err, ERR_NOT_FOUND, "%s: cannot be started: %s", path.data, strerror(cause));
		else
			err_set(err, ERR_NOT_FOUND, "%s: cannot be started: it is no executable file (chmod +x?)",
				path.data);
		buf_release(&path);
		return ERR_NOT_FOUND;
	}
	*ret = buf_detach(&path);
	return 0;
}

int program_find(const char *program, const char *base, char *const *env, char **ret, struct err *err)
{
	const char *path = environ_get(env, "PATH");
	CLEANUP(buf_release) struct buf full = BUF_INIT;

	if (strchr(program, '/'))
		return from_base(program, base, ret, err);
	if (!path)
		path = "/usr/local/bin:/usr/bin:/bin";
	while (*program) {
		size_t len = strcspn(path, ":");
		buf_reset(&full);
		/* Empty and relative entries mean the current directory, which is nobody's here. */
		if (*path == '/') {
			buf_add(&full, path, len);
			buf_addf(&full, "/%s", program);
			if (executable(full.data)) {
				*ret = buf_detach(&full);
				return 0;
			}
		}
		if (!path[len])
			break;
		path += len + 1;
	}
	return err_set(err, ERR_NOT_FOUND, "%s: no such program in PATH", *program ? program : "''");
}

char *runner_program(void)
{
	static const char *const places[] = {"flotilla-runner", "../libexec/flotilla/flotilla-runner"};
	const char *named = getenv("FLOTILLA_RUNNER");
	char self[PATH_MAX];
	ssize_t len = readlink("/proc/self/exe", self, sizeof self - 1);
	char *slash;

	if (named && *named)
		return xstrdup(named);
	self[len > 0 ? len : 0] = '\0';
	slash = strrchr(self, '/');
	for (size_t i = 0; slash && i < sizeof places / sizeof *places; i++) {
		struct buf path = BUF_INIT;
		buf_addf(&path, "%.*s/%s", (int)(slash - self), self, places[i]);
		if (access(path.data, X_OK) == 0)
			return buf_detach(&path);
		buf_release(&path);
	}
	return xstrdup("flotilla-runner");
}
