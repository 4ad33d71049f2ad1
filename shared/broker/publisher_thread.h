/* The two sides of a publisher: the loop's (publisher.c) and its thread's (publisher_thread.c). */
#ifndef FLOTILLA_BROKER_PUBLISHER_THREAD_H
#define FLOTILLA_BROKER_PUBLISHER_THREAD_H

#include <pthread.h>

#include "broker/known.h"
#include "broker/window.h"

struct publisher {
	/* Set before the thread begins, then only read. */
	struct broker_options broker_options;
	char *url, *name, *prefix;
	void (*state)(void *data, bool up, const struct err *err);
	void *data;
	int wake; /* an eventfd that the thread sleeps on */

	/* The loop's. */
	uv_async_t async;
	pthread_t thread;
	bool up;
	size_t pending;
	uint64_t published, outcomes[PUBLISH_DROPPED + 1]; /* messages; questions are none */

	/* Handed over, under the lock. */
	pthread_mutex_t lock;
	struct publication_list inbox, finished;
	bool stop;
	int64_t stop_at;
	bool was_lost, is_up, state_news; /* since it was last told */
	struct err lost_why;

	/* The thread's. */
	struct broker *broker; /* NULL: no session */
	struct window window;
	struct publication_list waiting, refused, questions, done;
	struct known known;
	bool blocked;         /* by the broker; nothing is published meanwhile */
	int64_t unblocked_at; /* it has confirmed nothing before */
	size_t suspects;      /* so many are published one by one: one of them closed the channel */
	unsigned refused_tries;
	int64_t refused_due;
	unsigned tries; /* to connect, since the last confirm */
	int told_code;  /* the last failure that was told; 0: none */
};

void *publisher_thread(void *publisher);

#endif
