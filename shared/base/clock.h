/* Clocks and chance. Time that decides anything is Redis' clock or the monotonic one; the wall clock is for logs. */
#ifndef FLOTILLA_BASE_CLOCK_H
#define FLOTILLA_BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

int64_t clock_mono_ms(void);
int64_t clock_wall_ms(void);
/* From now until a monotonic time, as a time limit: 0 where it is over. */
int clock_left_ms(int64_t until_mono_ms);

/* `len` bytes from the kernel's random source; ends the process where there is none. */
void random_bytes(void *bytes, size_t len);
/* 2 × `len` lower-case hex digits of `len` random bytes, and a NUL: `text` has room for 2 × len + 1. */
void random_hex(char *text, size_t len);
/* A whole number in [low, high]. Cheap; for jitter, not for secrets. */
int64_t random_between(int64_t low, int64_t high);

/* The delay before try number `tries` (0 first): base doubled each time up to max, and of that between half and all, by
 * chance, so that a fleet does not come back in step. Milliseconds. */
int64_t backoff_ms(int64_t base_ms, int64_t max_ms, unsigned tries);

#endif
