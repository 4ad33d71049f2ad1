/* The `replay` task: what a recorded task did, done again: files read, processor time spent, files written. */
#ifndef FLOTILLA_CONSUMER_RUNNER_REPLAY_H
#define FLOTILLA_CONSUMER_RUNNER_REPLAY_H

#include "job/replay_mark.h"

#define REPLAY_OPTION "--replay"

/* The main function of the process (`flotilla-runner --replay ROOT`: what the worker is linked to would take longer to
 * load than many a task takes), in its job directory: reads job.json, whose `args` are
 *	{"seconds": CPU time, "dir": "/shared/directory", "inputs": ["name"...],
 *	 "outputs": [{"name": "...", "size": bytes}...], "log": "/path" (optional; else the environment's REPLAY_LOG)}
 * `dir` and `log` must be below `root_dir`, an absolute path, links followed; where that is "", `dir` must hold the
 * mark that `flotilla run` leaves there, and `log` be below it. Returns the exit code; errors stand on stderr. */
int replay_main(const char *root_dir);

#endif
