/* The replayed task, and the sweep of old directories. */
#include "exec_lab.h"

#include <sys/wait.h>
#include <time.h>

#include "runner/replay.h"

/* Runs replay_main in a process of its own, in `lab`'s directory, with these args; its errors go to the file `errors`.
 */
static int replay_below(struct lab *lab, const char *root, const char *args)
{
	struct buf text = BUF_INIT;
	int status = 0;
	pid_t pid;

	buf_addf(&text, "{\"job\":{\"id\":\"r/1\",\"task\":\"replay\",\"args\":%s},\"attempt\":2}", args);
	lab_write(lab, "job.json", text.data, 0644);
	buf_release(&text);
	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		if (chdir(lab->dir) < 0 || !freopen("errors", "w", stderr))
			_exit(99);
		status = replay_main(root);
		fflush(NULL);
		_exit(status);
	}
	cr_assert(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
	return WEXITSTATUS(status);
}

static int replay(struct lab *lab, const char *args) { return replay_below(lab, lab->dir, args); }

static char *args_for(const struct lab *lab, const char *rest)
{
	struct buf args = BUF_INIT;
	buf_addf(&args, "{\"dir\":\"%s/shared/run\",\"log\":\"%s/log\",%s}", lab->dir, lab->dir, rest);
	return buf_detach(&args);
}

static void expect(struct lab *lab, const char *rest, int code, const char *words)
{
	char *args = args_for(lab, rest);
	int got = replay(lab, args);
	char *errors = lab_read(lab->dir, "errors");

	cr_assert(got == code, "%s: %s", rest, errors);
	cr_assert(strstr(errors, words) != NULL, "%s: %s", rest, errors);
	free(errors);
	free(args);
}

static void close_lab(struct lab *lab)
{
	uv_loop_close(&lab->loop);
	nftw(lab->dir, lab_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

Test(exec_replay, writes_what_the_next_reads)
{
	struct lab lab;
	struct stat st;
	char *path, *log;

	lab_make_dir(&lab);
	expect(&lab,
	       "\"seconds\":0.01,\"outputs\":[{\"name\":\"sub/a.fits\",\"size\":100000},{\"name\":\"b\",\"size\":0}]",
	       0, "");
	path = lab_path(&lab, "shared/run/sub/a.fits");
	cr_assert(stat(path, &st) == 0 && st.st_size == 100000);
	free(path);
	expect(&lab, "\"inputs\":[\"sub/a.fits\",\"b\"]", 0, "");
	log = lab_read(lab.dir, "log");
	cr_assert(strncmp(log, "start r/1 2 ", 12) == 0);
	cr_assert(strstr(log, "\nend r/1 2 ") != NULL);
	free(log);
	close_lab(&lab);
}

Test(exec_replay, burns_processor_time)
{
	struct lab lab;
	struct timespec before, after;

	lab_make_dir(&lab);
	clock_gettime(CLOCK_MONOTONIC, &before);
	expect(&lab, "\"seconds\":0.2", 0, "");
	clock_gettime(CLOCK_MONOTONIC, &after);
	cr_assert((after.tv_sec - before.tv_sec) * 1000 + (after.tv_nsec - before.tv_nsec) / 1000000 >= 190);
	close_lab(&lab);
}

/* A message names a place that is not the operator's, as directory and as log. */
static void expect_outside(struct lab *lab, const char *rest)
{
	const char *base = *rest ? lab->dir : "/var/tmp/flotilla-outside";
	struct buf args = BUF_INIT;
	char *errors;

	buf_addf(&args, "{\"dir\":\"%s%s\",\"outputs\":[{\"name\":\"x\",\"size\":1}]}", base, rest);
	cr_assert(replay(lab, args.data) == 1, "%s", args.data);
	errors = lab_read(lab->dir, "errors");
	cr_assert(strstr(errors, "--replay-dir"), "%s: %s", args.data, errors);
	free(errors);
	buf_reset(&args);
	buf_addf(&args, "{\"dir\":\"%s/shared\",\"log\":\"%s%s/log\"}", lab->dir, base, rest);
	cr_assert(replay(lab, args.data) == 1, "%s", args.data);
	cr_assert(access("/var/tmp/flotilla-outside", F_OK) < 0);
	buf_release(&args);
}

Test(exec_replay, without_a_root_only_where_there_is_the_mark)
{
	struct lab lab;
	struct buf args = BUF_INIT;
	char *shared, *mark;

	lab_make_dir(&lab);
	shared = lab_path(&lab, "shared");
	mark = lab_path(&lab, "shared/" REPLAY_MARK);
	cr_assert(mkdir(shared, 0777) == 0);
	buf_addf(&args, "{\"dir\":\"%s\",\"outputs\":[{\"name\":\"x\",\"size\":1}]}", shared);
	cr_assert(replay_below(&lab, "", args.data) == 1);
	cr_assert(symlink("/etc/hostname", mark) == 0);
	cr_assert(replay_below(&lab, "", args.data) == 1);
	cr_assert(unlink(mark) == 0);
	lab_write(&lab, "shared/" REPLAY_MARK, "", 0644);
	cr_assert(replay_below(&lab, "", args.data) == 0);
	buf_reset(&args);
	buf_addf(&args, "{\"dir\":\"%s\",\"log\":\"%s/log\"}", shared, lab.dir);
	cr_assert(replay_below(&lab, "", args.data) == 1);
	buf_reset(&args);
	buf_addf(&args, "{\"dir\":\"%s\",\"log\":\"%s/log\"}", shared, shared);
	cr_assert(replay_below(&lab, "", args.data) == 0);
	buf_release(&args);
	free(shared);
	free(mark);
	close_lab(&lab);
}

Test(exec_replay, errors)
{
	struct lab lab;
	char *outside, *link;

	lab_make_dir(&lab);
	expect(&lab, "\"inputs\":[\"missing\"]", 1, "the input missing is missing");
	expect(&lab, "\"inputs\":[\"../x\"]", 1, "inputs[0]");
	expect(&lab, "\"inputs\":[\"/etc/passwd\"]", 1, "inputs[0]");
	expect(&lab, "\"outputs\":[{\"name\":\"a/../../../x\",\"size\":1}]", 1, "outputs[0]");
	expect(&lab, "\"outputs\":[{\"name\":\"a//b\",\"size\":1}]", 1, "outputs[0]");
	expect(&lab, "\"outputs\":[{\"name\":\"x\",\"size\":-1}]", 1, "size");
	expect(&lab, "\"outputs\":[{\"name\":\"x\"}]", 1, "size");
	expect(&lab, "\"outputs\":{}", 1, "a list");
	expect(&lab, "\"seconds\":-1", 1, "seconds");
	cr_assert(replay(&lab, "{\"dir\":\"relative\"}") == 1);
	expect_outside(&lab, "");
	expect_outside(&lab, "/../../etc");
	expect_outside(&lab, "/shared/../..");
	expect_outside(&lab, "/new/../../x");
	expect_outside(&lab, "-beside/x");
	link = lab_path(&lab, "link");
	cr_assert(symlink("/var/tmp", link) == 0);
	expect_outside(&lab, "/link/flotilla-outside");
	free(link);
	cr_assert(replay(&lab, "[]") == 1);
	outside = lab_path(&lab, "x");
	cr_assert(access(outside, F_OK) < 0);
	free(outside);
	close_lab(&lab);
}

static void make_old(const struct lab *lab, const char *name, const char *file, int age_s)
{
	struct timespec times[2] = {{0}};
	struct buf path = BUF_INIT;
	FILE *made;

	buf_addf(&path, "%s/work/%s", lab->dir, name);
	mkdir(path.data, 0700);
	if (file) {
		buf_addf(&path, "/%s", file);
		made = fopen(path.data, "w");
		cr_assert(made != NULL);
		fclose(made);
	}
	times[0].tv_sec = times[1].tv_sec = time(NULL) - age_s;
	cr_assert(utimensat(AT_FDCWD, path.data, times, 0) == 0);
	buf_release(&path);
}

static bool exists(const struct lab *lab, const char *name)
{
	char *path = lab_path(lab, name);
	bool there = access(path, F_OK) == 0;
	free(path);
	return there;
}

/* The lab keeps directories for an hour, those of failed jobs for two. */
Test(exec_sweep, old_ones_go)
{
	struct lab *lab = malloc(sizeof *lab);
	struct err err;
	char *work;
	int64_t limit = clock_mono_ms() + LAB_LIMIT_MS;

	lab_make_dir(lab);
	work = lab_path(lab, "work");
	mkdir(work, 0700);
	free(work);
	make_old(lab, "default-1", "job.json", 9000);
	make_old(lab, "default-1/deep", "x", 9000);
	make_old(lab, "default-1", "profile.json", 4000);
	make_old(lab, "gpu-2", "job.json", 9000);
	make_old(lab, "gpu-2", "failed", 9000);
	make_old(lab, "gpu-2", "profile.json", 4000);
	make_old(lab, "gpu-3", "job.json", 9000);
	make_old(lab, "gpu-3", "failed", 9000);
	make_old(lab, "gpu-3", "profile.json", 8000);
	make_old(lab, "default-4", "job.json", 10);
	make_old(lab, "default-4", "profile.json", 10);
	make_old(lab, "photos-2024", "mine", 90000);
	cr_assert(lab_try_open(lab, NULL, true, &err) == 0);
	while ((exists(lab, "work/default-1") || exists(lab, "work/gpu-3")) && clock_mono_ms() < limit)
		uv_run(&lab->loop, UV_RUN_NOWAIT);
	cr_assert(!exists(lab, "work/default-1") && !exists(lab, "work/gpu-3"));
	cr_assert(exists(lab, "work/gpu-2") && exists(lab, "work/default-4") && exists(lab, "work/photos-2024/mine"));
	lab_close(lab);
}
