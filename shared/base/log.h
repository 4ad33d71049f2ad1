/* The programs' log, on standard error, a line an event. Libraries log at debug level only. */
#ifndef FLOTILLA_BASE_LOG_H
#define FLOTILLA_BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* What a line about a job carries; members that are NULL or 0 are left out. */
struct log_job {
	const char *id;
	const char *run;
	int64_t attempt;
};

/* Set once, at start. `worker` (may be NULL) is copied and stands on each JSON line. */
void log_setup(enum log_level level, bool json, const char *worker);
bool log_enabled(enum log_level level);
void log_line(enum log_level level, const struct log_job *job, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#define log_error(...) log_line(LOG_LEVEL_ERROR, NULL, __VA_ARGS__)
#define log_warn(...) log_line(LOG_LEVEL_WARN, NULL, __VA_ARGS__)
#define log_info(...) log_line(LOG_LEVEL_INFO, NULL, __VA_ARGS__)
#define log_debug(...)                                                                                                 \
	do {                                                                                                           \
		if (log_enabled(LOG_LEVEL_DEBUG))                                                                      \
			log_line(LOG_LEVEL_DEBUG, NULL, __VA_ARGS__);                                                  \
	} while (0)

#endif
