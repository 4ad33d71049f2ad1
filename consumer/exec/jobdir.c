#include "exec/jobdir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fault.h"
#include "base/log.h"
#include "exec/confine.h"
#include "job/json.h"

/* Other workers may use the same work directory: after this many names that are taken, the steps grow. */
#define PATIENT_STEPS 64

int64_t jobdir_first_number(const char *work_dir, const char *pool)
{
	DIR *dir = opendir(work_dir);
	size_t len = strlen(pool);
	struct dirent *entry;
	int64_t highest = 0;

	if (!dir)
		return 1;
	while ((entry = readdir(dir))) {
		const char *rest = entry->d_name + len + 1;
		char *end;
		long long n;

		if (strncmp(entry->d_name, pool, len) != 0 || entry->d_name[len] != '-' || *rest < '0' || *rest > '9')
			continue;
		errno = 0;
		n = strtoll(rest, &end, 10);
		if (!*end && errno == 0 && n < INT64_MAX / 2 && n > highest)
			highest = n;
	}
	closedir(dir);
	return highest + 1;
}

static int make_dir(struct executor *executor, char **ret, struct err *err)
{
	struct buf path = BUF_INIT;
	int64_t stride = 1;

	for (unsigned tries = 1;; tries++) {
		buf_reset(&path);
		buf_addf(&path, "%s/%s-%lld", executor->work_dir, executor->pool, (long long)executor->next_dir);
		if (mkdir(path.data, 0700) == 0)
			break;
		if (errno != EEXIST) {
			err_set(err, ERR_SYSTEM, "%s: cannot be made: %s", path.data, strerror(errno));
			buf_release(&path);
			return ERR_SYSTEM;
		}
		if (tries > PATIENT_STEPS)
			stride *= 2;
		executor->next_dir += stride;
	}
	executor->next_dir++;
	*ret = buf_detach(&path);
	return 0;
}

/* The members of the stored job but those that its record overrides. */
static int add_spec(struct buf *ret, const msgpack_object *spec, struct err *err)
{
	static const char *const overridden[] = {"id", "pool", "priority"};

	for (uint32_t i = 0; i < spec->via.map.size; i++) {
		const msgpack_object_kv *kv = &spec->via.map.ptr[i];
		bool skip = false;
		int r;

		for (size_t k = 0; k < 3 && kv->key.type == MSGPACK_OBJECT_STR; k++)
			skip |= kv->key.via.str.size == strlen(overridden[k]) &&
				memcmp(kv->key.via.str.ptr, overridden[k], kv->key.via.str.size) == 0;
		if (skip)
			continue;
		buf_adds(ret, ",");
		r = msgpack_to_json(&kv->key, ret, err);
		if (r < 0)
			return r;
		buf_adds(ret, ":");
		r = msgpack_to_json(&kv->val, ret, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int add_job(struct buf *ret, const struct job *job, struct err *err)
{
	msgpack_unpacked spec;
	int r = 0;

	buf_adds(ret, "{\"id\":");
	json_add_string(ret, job->id, strlen(job->id));
	buf_adds(ret, ",\"pool\":");
	json_add_string(ret, job->pool, strlen(job->pool));
	buf_adds(ret, ",\"priority\":");
	json_add_string(ret, job->priority, strlen(job->priority));
	msgpack_unpacked_init(&spec);
	if (job->spec && msgpack_unpack_next(&spec, job->spec, job->spec_len, NULL) == MSGPACK_UNPACK_SUCCESS &&
	    spec.data.type == MSGPACK_OBJECT_MAP)
		r = add_spec(ret, &spec.data, err);
	msgpack_unpacked_destroy(&spec);
	buf_adds(ret, "}");
	return r;
}

static int write_file(int dir, const char *name, const char *bytes, size_t len)
{
	CLEANUP(closep) int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd < 0)
		return -1;
	while (len > 0) {
		ssize_t put = write(fd, bytes, len);
		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return -1;
		bytes += put;
		len -= (size_t)put;
	}
	return 0;
}

static int write_job(const struct attempt *attempt, const struct jobdir *dir, struct err *err)
{
	CLEANUP(buf_release) struct buf text = BUF_INIT;
	int r;

	buf_adds(&text, "{\"job\":");
	r = add_job(&text, attempt->job, err);
	if (r < 0)
		return r;
	buf_addf(&text, ",\"attempt\":%lld,\"handler\":", (long long)attempt->number);
	json_add_string(&text, attempt->handler->name, strlen(attempt->handler->name));
	buf_addf(&text, ",\"results\":%s,\"results_missing\":%s}\n", attempt->results, attempt->results_missing);
	if (write_file(dir->fd, "job.json", text.data, text.len) < 0)
		return err_set(err, ERR_SYSTEM, "%s/job.json: cannot be written: %s", dir->path, strerror(errno));
	return 0;
}

/* The directory last: until then nobody else can do anything in it. */
static int give_away(const struct confinement *to, struct jobdir *dir, struct err *err)
{
	dir->owner = geteuid();
	if (!to || !to->other_user)
		return 0;
	dir->owner = to->uid;
	if (fchown(dir->out, to->uid, to->gid) < 0 || fchown(dir->err, to->uid, to->gid) < 0 ||
	    fchownat(dir->fd, "job.json", to->uid, to->gid, AT_SYMLINK_NOFOLLOW) < 0 ||
	    fchown(dir->fd, to->uid, to->gid) < 0)
		return err_set(err, ERR_SYSTEM, "%s: cannot be given to the user %s: %s", dir->path, to->user,
			       strerror(errno));
	return 0;
}

int jobdir_make(struct executor *executor, const struct attempt *attempt, struct jobdir *ret, struct err *err)
{
	const int flags = O_RDWR | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC;
	int r = make_dir(executor, &ret->path, err);

	if (r < 0)
		return r;
	ret->fd = open(ret->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (ret->fd >= 0) {
		flock(ret->fd, LOCK_SH | LOCK_NB);
		ret->out = openat(ret->fd, "stdout", flags, 0600);
		ret->err = openat(ret->fd, "stderr", flags, 0600);
	}
	if (ret->err < 0 || ret->out < 0)
		return err_set(err, ERR_SYSTEM, "%s: its files cannot be made: %s", ret->path, strerror(errno));
	r = write_job(attempt, ret, err);
	return r < 0 ? r : give_away(attempt->handler->confinement, ret, err);
}

void jobdir_release(struct jobdir *dir)
{
	closep(&dir->fd);
	closep(&dir->out);
	closep(&dir->err);
	free(dir->path);
	*dir = (struct jobdir)JOBDIR_INIT;
}

static int read_result(int fd, struct buf *ret)
{
	buf_grow(ret, RESULT_MAX + 1);
	while (ret->len <= RESULT_MAX) {
		ssize_t got = read(fd, ret->data + ret->len, RESULT_MAX + 1 - ret->len);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return (int)got;
		ret->len += (size_t)got;
	}
	return 0;
}

/* Strict, and written anew, so that what is kept is one compact value. */
static int check_json(const struct buf *text, struct buf *ret, struct err *err)
{
	CLEANUP(buf_release) struct buf packed = BUF_INIT;
	msgpack_unpacked value;
	int r = json_to_msgpack(text->data, text->len, JOB_MAX_DEPTH, &packed, err);

	if (r < 0)
		return r;
	msgpack_unpacked_init(&value);
	if (msgpack_unpack_next(&value, packed.data, packed.len, NULL) != MSGPACK_UNPACK_SUCCESS)
		r = err_set(err, ERR_INPUT, "cannot be read");
	else if (value.data.type != MSGPACK_OBJECT_NIL)
		r = msgpack_to_json(&value.data, ret, err);
	msgpack_unpacked_destroy(&value);
	return r;
}

int jobdir_result(const struct jobdir *dir, struct buf *ret, struct err *err)
{
	CLEANUP(buf_release) struct buf text = BUF_INIT;
	CLEANUP(closep) int fd = openat(dir->fd, "result", O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat st;

	if (fd < 0 && errno == ENOENT)
		return 0;
	if (fd < 0 && errno != ELOOP)
		return err_set(err, ERR_INPUT, "the file result cannot be read: %s", strerror(errno));
	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return err_set(err, ERR_INPUT, "result is not a plain file");
	/* A hard link to what only the worker may read. */
	if (dir->owner != geteuid() && st.st_uid != dir->owner)
		return err_set(err, ERR_INPUT, "result is a file of another user");
	if (read_result(fd, &text) < 0 || FAULT(RESULT_READ))
		return err_set(err, ERR_INPUT, "the file result cannot be read: %s", strerror(errno));
	if (text.len > RESULT_MAX)
		return err_set(err, ERR_INPUT, "the file result is larger than 64 KiB");
	if (check_json(&text, ret, err) < 0)
		return err_prefix(err, "the file result is not JSON");
	return 0;
}

static int64_t micro_to_ms(const struct timeval *t) { return (int64_t)t->tv_sec * 1000 + t->tv_usec / 1000; }

static void add_number(struct buf *text, const char *name, bool present, int64_t value)
{
	if (present)
		buf_addf(text, "\"%s\":%lld", name, (long long)value);
	else
		buf_addf(text, "\"%s\":null", name);
}

/* A directory keeps what is in it, under another name. */
static bool clear_away(int dir, const char *name)
{
	CLEANUP(buf_release) struct buf to = BUF_INIT;

	if (unlinkat(dir, name, 0) == 0)
		return true;
	buf_addf(&to, ".%s", name);
	return errno == EISDIR && (renameat(dir, name, dir, to.data) == 0 || unlinkat(dir, name, AT_REMOVEDIR) == 0);
}

void jobdir_profile(const struct jobdir *dir, const struct attempt *attempt, bool failed, int status,
		    const struct rusage *usage, int64_t wall_ms)
{
	CLEANUP(buf_release) struct buf text = BUF_INIT;
	const struct {
		const char *name;
		bool present;
		int64_t value;
	} rows[] = {
		{"exit_code", WIFEXITED(status), WIFEXITED(status) ? WEXITSTATUS(status) : 0},
		{"signal", WIFSIGNALED(status), WIFSIGNALED(status) ? WTERMSIG(status) : 0},
		{"wall_ms", true, wall_ms},
		{"user_ms", true, micro_to_ms(&usage->ru_utime)},
		{"system_ms", true, micro_to_ms(&usage->ru_stime)},
		{"max_rss_kib", true, usage->ru_maxrss},
	};
	const struct log_job job = {attempt->job->id, attempt->job->run, attempt->number};
	int r;

	buf_adds(&text, "{");
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		if (i > 0)
			buf_adds(&text, ",");
		add_number(&text, rows[i].name, rows[i].present, rows[i].value);
	}
	buf_adds(&text, "}\n");
	if (failed)
		write_file(dir->fd, "failed", "", 0);
	r = write_file(dir->fd, "profile.json", text.data, text.len);
	/* The job may have left something of that name. */
	if (r < 0 && errno == EEXIST && clear_away(dir->fd, "profile.json"))
		r = write_file(dir->fd, "profile.json", text.data, text.len);
	if (r < 0)
		log_line(LOG_LEVEL_WARN, &job, "%s/profile.json cannot be written: %s", dir->path, strerror(errno));
}
