/* What the jobs of a worker left running dies with the worker, however that dies.
 *
 * A small process of its own waits for the end of the worker: it blocks on a pipe whose other end only the worker
 * holds. Then it kills, by two ways that do not depend on each other:
 *
 *   cgroup    where a directory can be made below the worker's own cgroup (version 2, Linux 5.14), the worker moves
 *             into it before it starts anything: all that it starts is born there, and one write kills all of it
 *   environment   everything that the worker starts has FLOTILLA_WORKER=KEY in its environment, and so has what that
 *             starts in turn, unless it clears its environment: /proc tells who has it
 *
 * Neither costs anything for a job. Numbers of processes are not remembered, so none can be mistaken.
 */
#ifndef FLOTILLA_CONSUMER_UNDERTAKER_H
#define FLOTILLA_CONSUMER_UNDERTAKER_H

#define UNDERTAKER_KEY 33

struct undertaker {
	int alive;                /* held open as long as the worker lives; -1: there is no undertaker */
	char key[UNDERTAKER_KEY]; /* the value of FLOTILLA_WORKER in what the worker starts */
};

/* Starts it, and moves this process into a cgroup of its own where that is possible. Before any thread is started and
 * any signal handled. Where it fails the worker does without, and says so in the log; `key` is set in any case. */
void undertaker_start(struct undertaker *ret);

#endif
