#include "base/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "base/hex.h"

static int64_t read_ms(clockid_t id)
{
	struct timespec t;
	clock_gettime(id, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int64_t clock_mono_ms(void) { return read_ms(CLOCK_MONOTONIC); }
int64_t clock_wall_ms(void) { return read_ms(CLOCK_REALTIME); }

int clock_left_ms(int64_t until_mono_ms)
{
	int64_t left = until_mono_ms - clock_mono_ms();
	return left > 0 ? (int)left : 0;
}

void random_bytes(void *bytes, size_t len)
{
	char *at = bytes;
	while (len > 0) {
		ssize_t got = getrandom(at, len, 0);
		if (got < 0) {
			perror("flotilla: getrandom");
			abort();
		}
		at += got;
		len -= (size_t)got;
	}
}

/* The kernel is asked for many bytes at once: a token is drawn for every job. Each thread has a store of its own, and a
 * child that was forked draws anew. */
static void random_from_store(void *bytes, size_t len)
{
	static _Thread_local struct {
		unsigned char bytes[4096];
		size_t left;
		pid_t pid;
	} store;

	if (store.left < len || store.pid != getpid()) {
		random_bytes(store.bytes, sizeof store.bytes);
		store.left = sizeof store.bytes;
		store.pid = getpid();
	}
	store.left -= len;
	memcpy(bytes, store.bytes + store.left, len);
	explicit_bzero(store.bytes + store.left, len);
}

void random_hex(char *text, size_t len)
{
	unsigned char bytes[64];

	for (size_t done = 0; done < len; done += sizeof bytes) {
		size_t now = len - done < sizeof bytes ? len - done : sizeof bytes;
		random_from_store(bytes, now);
		hex_encode(bytes, now, text + 2 * done);
	}
}

int64_t random_between(int64_t low, int64_t high)
{
	uint64_t r;
	if (high <= low)
		return low;
	random_from_store(&r, sizeof r);
	return low + (int64_t)(r % ((uint64_t)(high - low) + 1));
}

int64_t backoff_ms(int64_t base_ms, int64_t max_ms, unsigned tries)
{
	int64_t delay = base_ms;
	for (unsigned i = 0; i < tries && delay < max_ms; i++)
		delay *= 2;
	if (delay > max_ms)
		delay = max_ms;
	return random_between(delay / 2, delay);
}
