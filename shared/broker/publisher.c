#include "broker/publisher.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "broker/publisher_thread.h"

enum { DEFAULT_WINDOW = 1000 };

static void call_back(struct publisher *publisher, struct publication *p)
{
	publisher->pending--;
	if (publication_is_question(p)) {
		p->depth_done(p->data, p->messages, p->consumers);
	} else {
		publisher->outcomes[p->outcome]++;
		if (p->done)
			p->done(p->data, p->outcome);
	}
	publication_free(p);
}

static void tell_state(struct publisher *publisher)
{
	bool lost, up;
	struct err why;

	pthread_mutex_lock(&publisher->lock);
	if (!publisher->state_news) {
		pthread_mutex_unlock(&publisher->lock);
		return;
	}
	lost = publisher->was_lost;
	up = publisher->is_up;
	why = publisher->lost_why;
	publisher->was_lost = publisher->state_news = false;
	pthread_mutex_unlock(&publisher->lock);
	publisher->up = up;
	if (!publisher->state)
		return;
	if (lost)
		publisher->state(publisher->data, false, &why);
	if (up)
		publisher->state(publisher->data, true, NULL);
}

static void call_back_all(struct publisher *publisher)
{
	struct publication_list finished;
	struct publication *p;

	pthread_mutex_lock(&publisher->lock);
	finished = publisher->finished;
	publisher->finished = (struct publication_list){0};
	pthread_mutex_unlock(&publisher->lock);
	while ((p = publication_take(&finished)))
		call_back(publisher, p);
}

static void on_async(uv_async_t *async)
{
	tell_state(async->data);
	call_back_all(async->data);
}

/* The signals are the loop's. */
static int start_thread(struct publisher *publisher)
{
	sigset_t all, before;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_create(&publisher->thread, NULL, publisher_thread, publisher);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return r;
}

static void free_publisher(struct publisher *publisher)
{
	window_release(&publisher->window);
	pthread_mutex_destroy(&publisher->lock);
	if (publisher->wake >= 0)
		close(publisher->wake);
	free(publisher->url);
	free(publisher->name);
	free(publisher->prefix);
	free(publisher);
}

static void on_closed(uv_handle_t *async) { free_publisher(async->data); }

static struct publisher *new_publisher(const struct publisher_options *options)
{
	struct publisher *p = xcalloc(1, sizeof *p);

	p->url = xstrdup(options->broker.url);
	p->name = options->broker.name ? xstrdup(options->broker.name) : NULL;
	p->prefix = xstrdup(options->prefix);
	p->broker_options = options->broker;
	p->broker_options.url = p->url;
	p->broker_options.name = p->name;
	p->state = options->state;
	p->data = options->data;
	pthread_mutex_init(&p->lock, NULL);
	window_init(&p->window, options->window ? options->window : DEFAULT_WINDOW);
	p->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return p;
}

int publisher_open(uv_loop_t *loop, const struct publisher_options *options, struct publisher **ret, struct err *err)
{
	struct publisher *publisher;
	int r = broker_options_check(&options->broker, err);

	if (r)
		return r;
	publisher = new_publisher(options);
	r = publisher->wake < 0 ? -errno : uv_async_init(loop, &publisher->async, on_async);
	if (r) {
		free_publisher(publisher);
		return err_set(err, ERR_SYSTEM, "cannot start the publisher: %s", uv_strerror(r));
	}
	publisher->async.data = publisher;
	r = start_thread(publisher);
	if (r) {
		uv_close((uv_handle_t *)&publisher->async, on_closed);
		return err_set(err, ERR_SYSTEM, "cannot start the publisher's thread: %s", strerror(r));
	}
	*ret = publisher;
	return 0;
}

static void wake(const struct publisher *publisher)
{
	uint64_t one = 1;
	/* A counter that is full has woken the thread already. */
	if (write(publisher->wake, &one, sizeof one) < 0)
		return;
}

void publisher_close(struct publisher *publisher, int64_t flush_ms)
{
	if (!publisher)
		return;
	pthread_mutex_lock(&publisher->lock);
	publisher->stop = true;
	publisher->stop_at = clock_mono_ms() + flush_ms;
	pthread_mutex_unlock(&publisher->lock);
	wake(publisher);
	pthread_join(publisher->thread, NULL);
	publisher->up = false;
	call_back_all(publisher);
	uv_close((uv_handle_t *)&publisher->async, on_closed);
}

static void hand_in(struct publisher *publisher, struct publication *p)
{
	bool first;
	publisher->pending++;
	publisher->published += !publication_is_question(p);
	pthread_mutex_lock(&publisher->lock);
	first = !publisher->inbox.first;
	publication_append(&publisher->inbox, p);
	pthread_mutex_unlock(&publisher->lock);
	/* The thread is woken once for all that gathers until it comes to fetch it. */
	if (first)
		wake(publisher);
}

void publisher_send(struct publisher *publisher, const struct broker_out *out, publish_done *done, void *data)
{
	struct publication *p = publication_message(out);
	p->done = done;
	p->data = data;
	hand_in(publisher, p);
}

void publisher_offer(struct publisher *publisher, const struct broker_out *out, publish_done *done, void *data)
{
	struct publication *p = publication_message(out);
	p->once = true;
	p->done = done;
	p->data = data;
	hand_in(publisher, p);
}

void publisher_job(struct publisher *publisher, const char *pool, const char *priority, const struct broker_out *out,
		   publish_done *done, void *data)
{
	struct publication *p = publication_job(publisher->prefix, pool, priority, out);
	p->done = done;
	p->data = data;
	hand_in(publisher, p);
}

void publisher_invite(struct publisher *publisher, const char *id, const char *pool, const char *priority,
		      const char *task, publish_done *done, void *data)
{
	struct publication *p = publication_invite(publisher->prefix, id, pool, priority, task);
	p->done = done;
	p->data = data;
	hand_in(publisher, p);
}

static void ask(struct publisher *publisher, enum publication_kind kind, const char *queue, publisher_depth_done *done,
		void *data)
{
	struct publication *p = publication_question(kind, queue);
	p->depth_done = done;
	p->data = data;
	hand_in(publisher, p);
}

void publisher_depth(struct publisher *publisher, const char *queue, publisher_depth_done *done, void *data)
{
	ask(publisher, PUBLICATION_DEPTH, queue, done, data);
}

void publisher_mark(struct publisher *publisher, const char *queue, publisher_depth_done *done, void *data)
{
	ask(publisher, PUBLICATION_MARK, queue, done, data);
}

void publisher_count(const struct publisher *publisher, struct publisher_counts *ret)
{
	ret->published = publisher->published;
	ret->confirmed = publisher->outcomes[PUBLISH_CONFIRMED];
	ret->returned = publisher->outcomes[PUBLISH_RETURNED];
	ret->pending = ret->published - ret->confirmed - ret->returned - publisher->outcomes[PUBLISH_DROPPED];
}

size_t publisher_pending(const struct publisher *publisher) { return publisher->pending; }
bool publisher_up(const struct publisher *publisher) { return publisher->up; }
