/* A handler in C: a shared object that `flotilla-runner` loads, one process of its own (or several), jobs one after
 * another. In the handlers file:
 *
 *	handlers:
 *	  blur: { plugin: ./libblur.so, processes: 2 }
 *
 * The plugin exports one object:
 *
 *	#include <flotilla/handler.h>
 *
 *	static int blur(struct flotilla_job *job, void *state)
 *	{
 *		return flotilla_job_result(job, "{\"done\": true}");
 *	}
 *
 *	const struct flotilla_handler flotilla_handler = {FLOTILLA_HANDLER_VERSION, .run = blur};
 *
 *	cc -shared -fPIC -o libblur.so blur.c
 *
 * All of it is called by one thread. What the plugin prints, to stdout as well, is the job's output. A plugin that
 * crashes fails the job it had; the worker starts the runner again.
 */
#ifndef FLOTILLA_HANDLER_H
#define FLOTILLA_HANDLER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Raised when a plugin would have to be compiled anew; the runner refuses others. */
#define FLOTILLA_HANDLER_VERSION 1

/* The job being run; valid until `run` returns, and all text that comes of it. */
struct flotilla_job;

struct flotilla_handler {
	int version; /* FLOTILLA_HANDLER_VERSION */
	/* Before the first job; may be NULL. *state is handed to the others. Not 0: the runner ends. */
	int (*open)(void **state);
	/* One job. 0: it succeeded. Else it failed: say why with flotilla_job_fail. */
	int (*run)(struct flotilla_job *job, void *state);
	/* When the worker ends; may be NULL. */
	void (*close)(void *state);
};

/* What the plugin exports. */
extern const struct flotilla_handler flotilla_handler;

/* About the job. `run` is NULL where it is of none. */
const char *flotilla_job_id(const struct flotilla_job *job);
const char *flotilla_job_task(const struct flotilla_job *job);
const char *flotilla_job_run(const struct flotilla_job *job);
int64_t flotilla_job_attempt(const struct flotilla_job *job);
/* Its arguments, as JSON text ("null" where it has none) or as MessagePack. */
const char *flotilla_job_args(const struct flotilla_job *job);
const void *flotilla_job_args_msgpack(const struct flotilla_job *job, size_t *len);
/* The results of its predecessors: a JSON object by id. */
const char *flotilla_job_results(const struct flotilla_job *job);

/* Whether the worker wants it to end (cancelled, or timed out). Ask now and then; five seconds later the process is
 * killed. Cheap, but a system call. */
bool flotilla_job_stopping(struct flotilla_job *job);
/* Text for people: how far it is. */
void flotilla_job_progress(struct flotilla_job *job, const char *text);
/* The result, as JSON text of at most 64 KiB; the last one counts. 0, or -1: it is no JSON. */
int flotilla_job_result(struct flotilla_job *job, const char *json);
/* Why it fails. Always -1, so that `return flotilla_job_fail(job, "...")` reads well. */
int flotilla_job_fail(struct flotilla_job *job, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The same where the input is wrong, so that another attempt would fail as well: it is not retried. */
int flotilla_job_refuse(struct flotilla_job *job, const char *format, ...) __attribute__((format(printf, 2, 3)));

#ifdef __cplusplus
}
#endif

#endif
