/* One long-lived child of a handler, and what goes to and fro. runner.c decides what it does. */
#ifndef FLOTILLA_CONSUMER_EXEC_RUNNER_CHILD_H
#define FLOTILLA_CONSUMER_EXEC_RUNNER_CHILD_H

#include "exec/frames.h"
#include "exec/internal.h"

struct link;

struct runner {
	struct child child;
	struct runners *owner;
	struct link *link;      /* its pipes; NULL: no child */
	struct ticket *current; /* the job it has */
	bool greeted;
	bool proven;        /* this child has done a job */
	bool unread;        /* it died without reading all that it was sent */
	bool expected;      /* that it dies: the worker killed it */
	char *complaint;    /* why the worker killed it */
	int64_t hung_up_at; /* monotonic ms: it closed its end; 0: it has not */
	unsigned failures;  /* deaths in a row without a job done */
	int64_t not_before; /* monotonic ms: no new child until then */
};

/* Starts the child, with its hello on the way. Its end is told to runner_ended. ERR_* in words. */
int runner_start(struct runner *runner, struct executor *executor, const struct handler *handler, struct err *err);
/* Sends frames: all of `out`, which is emptied. Nothing happens where no child is left. */
void runner_send(struct runner *runner, struct buf *out);
/* Reads what there is, without waiting: messages to runner_message, stderr to runner_output. */
void runner_read(struct runner *runner);
/* Reads what there is of stderr. */
void runner_drain(struct runner *runner);
/* It broke the protocol: nothing more is read, it is killed, and what it had fails for that reason. */
void runner_condemn(struct runner *runner, const char *complaint);
/* Closes the pipes; the memory goes when the loop has closed them. */
void runner_unlink(struct runner *runner);

/* runner.c: what came. */
void runner_message(struct runner *runner, const struct message *message);
void runner_output(struct runner *runner, const char *bytes, size_t len);
void runner_ended(struct child *child, int status, const struct rusage *usage);

#endif
