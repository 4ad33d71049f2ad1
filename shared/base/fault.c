/* What happens at a fault point. State of the process, not of a session: the points are in every layer and on every
 * thread, and they are only in builds that break themselves. */
#include "base/fault.h"

#ifdef FLOTILLA_FAULTS

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"

#define STALL_MS 1500
#define STALL_RANDOM_MS 2500

struct point {
	const char *name, *actions;
};

#define SCRIPT_ROW(name, who, what) {#name ".sent", "kse"}, {#name ".answered", "kse"},
#define POINT_ROW(NAME, name, who, actions, what) {name, actions},
static const struct point points[FAULT_COUNT] = {FAULT_MAP(SCRIPT_ROW, POINT_ROW)};

static struct {
	pthread_once_t read;
	bool armed, random, once;
	enum fault_point point;
	char action;
	int64_t stall_ms;
	unsigned long nth, one_in;
	uint64_t seed;
	char *log;
	_Atomic uint64_t reached;
} chosen = {.read = PTHREAD_ONCE_INIT};

static _Noreturn void give_up(const char *what)
{
	fprintf(stderr, "FAULT_AT: %s\n", what);
	_exit(2);
}

/* --- the environment --- */

static enum fault_point find(const char *name)
{
	for (int i = 0; i < FAULT_COUNT; i++)
		if (strcmp(points[i].name, name) == 0)
			return (enum fault_point)i;
	give_up("no such point");
}

static void read_word(const char *word)
{
	if (strcmp(word, "once") == 0) {
		chosen.once = true;
	} else if (strncmp(word, "nth=", 4) == 0) {
		chosen.nth = strtoul(word + 4, NULL, 10);
	} else if (strcmp(word, "kill") == 0) {
		chosen.action = 'k';
	} else if (strcmp(word, "error") == 0) {
		chosen.action = strchr(points[chosen.point].actions, 'f') ? 'f' : 'e';
	} else if (strncmp(word, "stall", 5) == 0) {
		chosen.action = 's';
		chosen.stall_ms = word[5] == '=' ? strtoll(word + 6, NULL, 10) : STALL_MS;
	} else {
		give_up("neither kill, stall, error, nth= nor once");
	}
}

static void read_random(char *rest)
{
	char *seed = strsep(&rest, ":");

	chosen.random = true;
	chosen.seed = seed ? strtoull(seed, NULL, 10) : 0;
	chosen.one_in = rest ? strtoul(rest, NULL, 10) : 0;
	if (chosen.one_in == 0)
		give_up("random:SEED:N, N from 1");
}

static void read_environment(void)
{
	const char *text = getenv("FAULT_AT"), *log = getenv("FAULT_LOG");
	char *copy, *at, *word;

	if (!text || !text[0])
		return;
	at = copy = xstrdup(text);
	chosen.log = log && log[0] ? xstrdup(log) : NULL;
	word = strsep(&at, ":");
	if (strcmp(word, "random") == 0) {
		read_random(at);
	} else {
		chosen.point = find(word);
		chosen.nth = 1;
		while ((word = strsep(&at, ":")) != NULL)
			read_word(word);
		if (!chosen.action || !strchr(points[chosen.point].actions, chosen.action))
			give_up("this point has no such action");
		if (chosen.once && !chosen.log)
			give_up("once needs FAULT_LOG");
	}
	free(copy);
	chosen.armed = true;
}

/* --- deciding --- */

/* splitmix64: the n-th number of a seed, whichever thread asks for it. */
static uint64_t number(uint64_t seed, uint64_t n)
{
	uint64_t z = seed + n * 0x9e3779b97f4a7c15u;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

static bool beside_log(const char *ending, int flags)
{
	struct buf path = BUF_INIT;
	int fd;

	if (!chosen.log)
		return false;
	buf_addf(&path, "%s.%s", chosen.log, ending);
	fd = open(path.data, flags | O_CLOEXEC, 0600);
	buf_release(&path);
	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static bool by_chance(enum fault_point point, struct fault *ret)
{
	uint64_t drawn = number(chosen.seed, atomic_fetch_add(&chosen.reached, 1) + 1);
	size_t count = strcspn(points[point].actions, "f");

	if (drawn % chosen.one_in != 0 || beside_log("off", O_RDONLY))
		return false;
	drawn = number(drawn, 1);
	*ret = (struct fault){point, points[point].actions[drawn % count], (int64_t)(drawn >> 32) % STALL_RANDOM_MS};
	return true;
}

bool fault_take(enum fault_point point, struct fault *ret)
{
	pthread_once(&chosen.read, read_environment);
	if (!chosen.armed)
		return false;
	if (chosen.random)
		return by_chance(point, ret);
	if (point != chosen.point || atomic_fetch_add(&chosen.reached, 1) + 1 != chosen.nth ||
	    (chosen.once && !beside_log("fired", O_WRONLY | O_CREAT | O_EXCL)))
		return false;
	*ret = (struct fault){point, chosen.action, chosen.stall_ms};
	return true;
}

/* --- doing --- */

static void note(const struct fault *fault)
{
	struct buf line = BUF_INIT;
	int fd;

	if (!chosen.log)
		return;
	fd = open(chosen.log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	buf_addf(&line, "%lld %ld %s %s\n", (long long)clock_mono_ms(), (long)getpid(), points[fault->point].name,
		 fault->action == 'k'   ? "kill"
		 : fault->action == 's' ? "stall"
					: "error");
	if (fd < 0 || write(fd, line.data, line.len) < 0)
		give_up("FAULT_LOG cannot be written");
	close(fd);
	buf_release(&line);
}

static void sleep_ms(int64_t ms)
{
	struct timespec left = {ms / 1000, ms % 1000 * 1000000};

	while (nanosleep(&left, &left) < 0 && errno == EINTR)
		;
}

bool fault_do(const struct fault *fault)
{
	note(fault);
	if (fault->action == 'k')
		kill(getpid(), SIGKILL);
	if (fault->action == 's')
		sleep_ms(fault->stall_ms);
	return fault->action == 'e' || fault->action == 'f';
}

bool fault_at(enum fault_point point)
{
	struct fault fault;
	return fault_take(point, &fault) && fault_do(&fault);
}

enum fault_point fault_of_script(const char *name, bool answered)
{
	size_t len = strlen(name);

	for (int i = 0; i < FAULT_REDIS_CONNECTED; i += 2)
		if (strncmp(points[i].name, name, len) == 0 && points[i].name[len] == '.')
			return (enum fault_point)(i + answered);
	give_up("a script without a row in base/fault.h");
}

#endif
