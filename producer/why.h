/* Why a job is not running, or how it ended, in words. One function a group of states; each prints to standard output
 * and returns 0 or an error. */
#ifndef FLOTILLA_PRODUCER_WHY_H
#define FLOTILLA_PRODUCER_WHY_H

#include "session.h"

struct why {
	struct session *session;
	const char *id;
	const struct store_reply *record;
	int64_t now_ms;
};

int why_waiting(const struct why *why, struct err *err);
int why_scheduled(const struct why *why, struct err *err);
int why_queued(const struct why *why, struct err *err);
int why_running(const struct why *why, struct err *err);
int why_ended(const struct why *why, struct err *err);

/* Names jobs that wait for one another, if `id` is in or before such a cycle. */
int why_cycle(const struct why *why, struct err *err);

/* Prints a line, indented by two blanks, of text that may come from outside. */
void why_say(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The last lines of a job's output. */
int why_output(const struct why *why, const char *id, struct err *err);
/* "3 s ago" and the like, of a time in the record; "" where there is none. 48 bytes. */
void why_ago(const struct why *why, const char *field, char *text);

#endif
