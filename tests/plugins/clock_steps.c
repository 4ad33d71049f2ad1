/* Preloaded: a wall clock that a test can step while the program runs. The file CLOCK_STEPS holds the offset in
 * seconds, as eight bytes that may change at any time. The monotonic clock is left alone. */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define BARE __attribute__((no_sanitize("address", "undefined", "thread")))

static volatile const int64_t *offset;

/* What the program starts is to have the true clock. */
__attribute__((constructor)) static void open_steps(void)
{
	const char *path = getenv("CLOCK_STEPS");
	int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	void *map = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof *offset, PROT_READ, MAP_SHARED, fd, 0);

	if (map != MAP_FAILED)
		offset = map;
	if (fd >= 0)
		close(fd);
	unsetenv("LD_PRELOAD");
}

/* NOLINTNEXTLINE(readability-inconsistent-declaration-parameter-name): theirs are reserved */
BARE int clock_gettime(clockid_t clock, struct timespec *time)
{
	long r = syscall(SYS_clock_gettime, clock, time);

	if (r == 0 && offset && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
		time->tv_sec += *offset;
	return (int)r;
}

/* NOLINTNEXTLINE(readability-inconsistent-declaration-parameter-name): theirs are reserved */
BARE int gettimeofday(struct timeval *restrict value, void *restrict zone)
{
	struct timespec now;

	(void)zone;
	clock_gettime(CLOCK_REALTIME, &now);
	*value = (struct timeval){now.tv_sec, now.tv_nsec / 1000};
	return 0;
}
