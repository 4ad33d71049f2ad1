/* A computation of known length: the same for what runs in a fleet and for what it is compared with. */
#ifndef BENCH_SPIN_H
#define BENCH_SPIN_H

#include <stdint.h>
#include <time.h>

/* A round is 64 dependent steps, which no compiler can shorten. */
static inline uint64_t spin(uint64_t rounds, uint64_t value)
{
	for (uint64_t i = 0; i < rounds * 64; i++) {
		value ^= value << 13;
		value ^= value >> 7;
		value ^= value << 17;
	}
	return value;
}

/* Processor time of this thread, in seconds. */
static inline double spin_time(void)
{
	struct timespec t;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

#endif
