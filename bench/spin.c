/* A computation of known length as a program: `spin calibrate` prints how many rounds make a millisecond here; `spin
 * ROUNDS [TIMES]` computes, and with TIMES prints the seconds that it took. */
#include "spin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static volatile uint64_t kept;

static double seconds(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* The best of several: what else runs only makes it slower. */
static double rounds_a_ms(void)
{
	double best = 0;

	for (int i = 0; i < 20; i++) {
		double begin = spin_time();
		kept = spin(20000, kept + 1);
		double rate = 20000 / (spin_time() - begin) / 1000;
		best = rate > best ? rate : best;
	}
	return best;
}

int main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "calibrate") == 0) {
		printf("%.3f\n", rounds_a_ms());
		return 0;
	}
	if (argc < 2) {
		fprintf(stderr, "spin calibrate | spin ROUNDS [TIMES]\n");
		return 2;
	}
	uint64_t rounds = strtoull(argv[1], NULL, 10);
	long times = argc > 2 ? strtol(argv[2], NULL, 10) : 1;
	double begin = seconds();
	for (long i = 0; i < times; i++)
		kept = spin(rounds, kept + 1);
	if (argc > 2)
		printf("%.6f\n", seconds() - begin);
	return 0;
}
