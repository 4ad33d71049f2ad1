/* The directory of a replayed run, with the files that have to be there before it begins. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "job/replay_mark.h"
#include "workflow/plan.h"

static int make_directory(const char *path, struct err *err)
{
	struct stat info;

	if (mkdir(path, 0777) == 0 || (errno == EEXIST && stat(path, &info) == 0 && S_ISDIR(info.st_mode)))
		return 0;
	return err_set(err, ERR_SYSTEM, "%s: the directory cannot be made: %s", path, strerror(errno));
}

/* Makes the directories that `path` leads through, from `from` on; with `last` the one that it names as well. */
static int make_directories(char *path, size_t from, bool last, struct err *err)
{
	int r = 0;

	for (char *slash = strchr(path + from, '/'); slash && r == 0; slash = strchr(slash + 1, '/')) {
		if (slash == path)
			continue;
		*slash = '\0';
		r = make_directory(path, err);
		*slash = '/';
	}
	return r == 0 && last ? make_directory(path, err) : r;
}

/* A file of zeros. Doing it again changes nothing, so a run can be taken up. */
static int make_file(const char *path, int64_t size, struct err *err)
{
	CLEANUP(closep) int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);

	if (fd < 0 || ftruncate(fd, size) < 0)
		return err_set(err, ERR_SYSTEM, "%s: the file cannot be made: %s", path, strerror(errno));
	return 0;
}

int workflow_replay_prepare(const struct workflow *workflow, const char *dir, struct err *err)
{
	CLEANUP(buf_release) struct buf path = BUF_INIT;
	size_t dir_len = strlen(dir);
	int r;

	buf_adds(&path, dir);
	r = make_directories(path.data, 0, true, err);
	buf_adds(&path, "/" REPLAY_MARK);
	if (r == 0)
		r = make_file(path.data, 0, err);
	for (size_t i = 0; i < workflow->file_count && r == 0; i++) {
		buf_reset(&path);
		buf_addf(&path, "%s/%s", dir, workflow->files[i].name);
		r = make_directories(path.data, dir_len + 1, false, err);
		if (r == 0)
			r = make_file(path.data, workflow->files[i].size, err);
	}
	return r;
}
