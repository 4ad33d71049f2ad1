#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "exec/confine.h"
#include "exec/internal.h"
#include "exec/runner.h"

#define OURS "FLOTILLA_"

/* The most that environ_for adds of its own. */
#define OURS_MAX 12

char **environ_base(void)
{
	size_t count = 0, kept = 0;
	char **list;

	while (environ && environ[count])
		count++;
	list = xcalloc(count + 1, sizeof *list);
	for (size_t i = 0; i < count; i++)
		if (strncmp(environ[i], OURS, strlen(OURS)) != 0)
			list[kept++] = xstrdup(environ[i]);
	return list;
}

void environ_base_free(char **env)
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

static size_t of_tls(const struct tls_files *tls, struct job_pair *ret)
{
	const struct job_pair pairs[] = {
		{OURS "TLS_CA", tls->ca}, {OURS "TLS_CERT", tls->cert}, {OURS "TLS_KEY", tls->key}};
	size_t n = 0;

	for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
		if (pairs[i].value[0])
			ret[n++] = pairs[i];
	return n;
}

static size_t ours(const struct executor *executor, const struct handler *handler, const struct attempt *attempt,
		   const char *number, const char *dir, struct job_pair ret[OURS_MAX])
{
	size_t n = 0;

	if (attempt) {
		const struct job *job = attempt->job;
		ret[n++] = (struct job_pair){OURS "ID", job->id};
		ret[n++] = (struct job_pair){OURS "TASK", job->task};
		ret[n++] = (struct job_pair){OURS "ATTEMPT", number};
		ret[n++] = (struct job_pair){OURS "RUN", job->run ? job->run : ""};
		ret[n++] = (struct job_pair){OURS "JOB_DIR", dir};
	}
	/* after the job's own: it is what finds them when the worker is killed (undertaker.h) */
	if (executor->worker_key[0])
		ret[n++] = (struct job_pair){OURS "WORKER", executor->worker_key};
	if (handler->services) {
		ret[n++] = (struct job_pair){OURS "AMQP_URL", executor->amqp_url};
		ret[n++] = (struct job_pair){OURS "REDIS_URL", executor->redis_url};
		ret[n++] = (struct job_pair){OURS "PREFIX", executor->prefix};
		n += of_tls(&executor->tls, ret + n);
	}
	return n;
}

static size_t text_size(const struct job_pair *pairs, size_t count)
{
	size_t size = 0;

	for (size_t i = 0; i < count; i++)
		size += strlen(pairs[i].key) + strlen(pairs[i].value) + 2;
	return size;
}

/* Replaces what has the same name. `text` is where the lines go; returns where it goes on. */
static char *set(char **list, size_t *count, char *text, const struct job_pair *pair)
{
	size_t key = strlen(pair->key), value = strlen(pair->value), at = 0;

	memcpy(text, pair->key, key);
	text[key] = '=';
	memcpy(text + key + 1, pair->value, value + 1);
	while (at < *count && strncmp(list[at], text, key + 1) != 0)
		at++;
	list[at] = text;
	if (at == *count)
		++*count;
	return text + key + 1 + value + 1;
}

/* One allocation for the list and what is new in it. */
char **environ_for(const struct executor *executor, const struct handler *handler, const struct attempt *attempt,
		   const char *dir)
{
	const struct job_pair *theirs = attempt ? attempt->job->env : NULL;
	size_t theirs_count = attempt ? attempt->job->env_count : 0, count = 0, own, room;
	struct job_pair pairs[OURS_MAX];
	char *const *base = executor->base_env;
	char number[24] = "", **list, *text;

	if (attempt)
		snprintf(number, sizeof number, "%lld", (long long)attempt->number);
	own = ours(executor, handler, attempt, number, dir, pairs);
	if (handler->confinement && handler->confinement->env)
		base = handler->confinement->env;
	while (base[count])
		count++;
	room = (count + theirs_count + own + 1) * sizeof *list;
	list = xmalloc(room + text_size(theirs, theirs_count) + text_size(pairs, own));
	memcpy(list, base, count * sizeof *list);
	text = (char *)list + room;
	for (size_t i = 0; i < theirs_count; i++)
		text = set(list, &count, text, &theirs[i]);
	for (size_t i = 0; i < own; i++)
		text = set(list, &count, text, &pairs[i]);
	list[count] = NULL;
	return list;
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
