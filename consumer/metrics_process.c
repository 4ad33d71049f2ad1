/* CPU, memory and descriptors, of this process under the names that Prometheus' own libraries use, and of what runs
 * jobs for it. Read when somebody asks, from /proc. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "metrics_internal.h"

/* Of /proc/PID/stat. */
struct stat_fields {
	double cpu;     /* seconds, with those of children that it has waited for */
	double started; /* seconds since boot */
	double virtual_bytes, resident_bytes;
};

/* Fields of proc(5), less the two before the state. */
enum { STAT_USER = 11, STAT_CHILDREN_SYSTEM = 14, STAT_STARTED = 19, STAT_VIRTUAL, STAT_RESIDENT, STAT_FIELDS };

static bool read_file(const char *path, char *text, size_t size)
{
	FILE *file = fopen(path, "re");
	size_t len = file ? fread(text, 1, size - 1, file) : 0;

	if (file)
		fclose(file);
	text[len] = '\0';
	return len > 0;
}

/* The second field is a program's name in parentheses, with anything in it; the third, the state, is a letter. */
static bool read_stat(const char *path, struct stat_fields *ret)
{
	double ticks = (double)sysconf(_SC_CLK_TCK), fields[STAT_FIELDS] = {0};
	char text[2048], *at, *end;

	if (!read_file(path, text, sizeof text) || !(at = strrchr(text, ')')) || strlen(at) < 4)
		return false;
	at += 3;
	for (size_t i = 1; i < STAT_FIELDS; i++, at = end) {
		fields[i] = strtod(at, &end);
		if (end == at)
			return false;
	}
	*ret = (struct stat_fields){0, fields[STAT_STARTED] / ticks, fields[STAT_VIRTUAL],
				    fields[STAT_RESIDENT] * (double)sysconf(_SC_PAGESIZE)};
	for (size_t i = STAT_USER; i <= STAT_CHILDREN_SYSTEM; i++)
		ret->cpu += fields[i] / ticks;
	return true;
}

static double seconds(const struct timeval *time) { return (double)time->tv_sec + (double)time->tv_usec / 1e6; }

static double cpu_of(int who, long *max_rss_kib)
{
	struct rusage usage;

	getrusage(who, &usage);
	if (max_rss_kib)
		*max_rss_kib = usage.ru_maxrss;
	return seconds(&usage.ru_utime) + seconds(&usage.ru_stime);
}

static double count_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	double count = -3; /* ".", ".." and that of this look */

	while (dir && readdir(dir))
		count++;
	if (dir)
		closedir(dir);
	return count < 0 ? 0 : count;
}

/* The time of boot, by the wall clock. */
static double boot_time(void)
{
	char text[64 * 1024], *at;

	if (!read_file("/proc/stat", text, sizeof text) || !(at = strstr(text, "\nbtime ")))
		return 0;
	return strtod(at + strlen("\nbtime "), NULL);
}

static void write_process(struct buf *out)
{
	struct stat_fields self = {0};
	struct rlimit files = {0};

	read_stat("/proc/self/stat", &self);
	getrlimit(RLIMIT_NOFILE, &files);
	exposition_single(out, "process_cpu_seconds_total", "counter", "CPU time that this process has used.", NULL,
			  cpu_of(RUSAGE_SELF, NULL));
	exposition_single(out, "process_resident_memory_bytes", "gauge", "Memory of this process that is in RAM.", NULL,
			  self.resident_bytes);
	exposition_single(out, "process_virtual_memory_bytes", "gauge", "Address space of this process.", NULL,
			  self.virtual_bytes);
	exposition_single(out, "process_open_fds", "gauge", "File descriptors that are open.", NULL,
			  count_descriptors());
	exposition_single(out, "process_max_fds", "gauge", "File descriptors that may be open.", NULL,
			  (double)files.rlim_cur);
	exposition_single(out, "process_start_time_seconds", "gauge", "When this process began, in Unix time.", NULL,
			  boot_time() + self.started);
}

/* --- children --- */

struct sums {
	double cpu, resident;
	size_t count;
};

static void add_child(void *data, pid_t pid)
{
	struct sums *sums = data;
	struct stat_fields stat;
	char path[64];

	snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
	if (!read_stat(path, &stat))
		return;
	sums->count++;
	sums->resident += stat.resident_bytes;
	sums->cpu += stat.cpu;
}

/* Those that live are counted in ticks, and those that have ended exactly: what was shown is never taken back. */
static void write_children(struct metrics *metrics, struct buf *out)
{
	struct sums live = {0};
	long max_rss_kib;
	double cpu = cpu_of(RUSAGE_CHILDREN, &max_rss_kib);

	if (metrics->worker->executor)
		executor_each_child(metrics->worker->executor, add_child, &live);
	if (cpu + live.cpu > metrics->children_cpu)
		metrics->children_cpu = cpu + live.cpu;
	exposition_single(out, "flotilla_children", "gauge",
			  "Processes started by this worker that live: jobs, runners.", NULL, (double)live.count);
	exposition_single(out, "flotilla_children_cpu_seconds_total", "counter",
			  "CPU time of jobs' processes and runners, of those that live and those that have ended.",
			  NULL, metrics->children_cpu);
	exposition_single(out, "flotilla_children_resident_memory_bytes", "gauge",
			  "Memory in RAM of the processes started by this worker (not of what they started).", NULL,
			  live.resident);
	exposition_single(out, "flotilla_children_max_resident_memory_bytes", "gauge",
			  "The most memory in RAM that one of those that have ended had.", NULL,
			  (double)max_rss_kib * 1024);
}

void metrics_process_write(struct metrics *metrics, struct buf *out)
{
	write_children(metrics, out);
	write_process(out);
}
