/* The publisher's thread: one session with the broker, and a turn that repeats: take what was handed in, publish what
 * the window has room for, read what came, hand back what is finished, sleep.
 *
 * Where a message is: `waiting` → `window` → `done`; from the window back to `waiting` when its session or channel is
 * lost or its invitation came back, and to `refused` for a while when the broker could not store it. A session that is
 * lost takes nothing along: what it had not confirmed waits again, in order, before the rest.
 */
#include "broker/publisher_thread.h"

#include <poll.h>
#include <unistd.h>

#include "base/clock.h"

enum {
	CHANNEL_PUBLISH = 1,
	CHANNEL_ASK = 2, /* declarations and questions, so that a failed one does not close the other */
	EVENTS_A_TURN = 2000,
	RECONNECT_MIN_MS = 100,
	RECONNECT_MAX_MS = 2000,
	REFUSED_MIN_MS = 50,
	REFUSED_MAX_MS = 2000,
	CONFIRM_LIMITS = 3, /* of the time limit of an answer, for a confirm: it waits for the disk */
	SLEEP_MAX_MS = 2000,
};

/* So much may be unsent before publishing waits for the socket. */
#define UNSENT_MAX ((size_t)256 * 1024)

static void finish(struct publisher *p, struct publication *publication, enum publish_outcome outcome)
{
	publication->outcome = outcome;
	publication_append(&p->done, publication);
}

static void hand_over(struct publisher *p)
{
	bool first;
	if (!p->done.first)
		return;
	pthread_mutex_lock(&p->lock);
	first = !p->finished.first;
	publication_append_all(&p->finished, &p->done);
	pthread_mutex_unlock(&p->lock);
	if (first)
		uv_async_send(&p->async);
}

static void tell(struct publisher *p, bool up, const struct err *why)
{
	pthread_mutex_lock(&p->lock);
	p->is_up = up;
	p->state_news = true;
	if (!up) {
		p->was_lost = true;
		p->lost_why = *why;
	}
	pthread_mutex_unlock(&p->lock);
	p->told_code = up ? 0 : why->code;
	uv_async_send(&p->async);
}

/* Takes what was handed in; questions apart. */
static void take_inbox(struct publisher *p)
{
	struct publication_list inbox;
	struct publication *publication;

	pthread_mutex_lock(&p->lock);
	inbox = p->inbox;
	p->inbox = (struct publication_list){0};
	pthread_mutex_unlock(&p->lock);
	while ((publication = publication_take(&inbox)))
		publication_append(publication_is_question(publication) ? &p->questions : &p->waiting, publication);
}

static bool outstanding(const struct publisher *p)
{
	return p->waiting.count || p->window.count || p->refused.count || p->questions.count || p->done.count;
}

static bool must_stop(struct publisher *p, int64_t *ret_left_ms)
{
	bool stop;
	int64_t left;

	pthread_mutex_lock(&p->lock);
	stop = p->stop;
	left = p->stop_at - clock_mono_ms();
	if (stop && p->inbox.first && left > 0)
		stop = false;
	else
		stop = stop && (left <= 0 || !outstanding(p));
	if (p->stop && left < *ret_left_ms)
		*ret_left_ms = left > 0 ? left : 0;
	pthread_mutex_unlock(&p->lock);
	return stop;
}

/* --- publishing --------------------------------------------------------------------------------------------------- */

static bool can_publish(const struct publisher *p)
{
	return p->waiting.first && !p->blocked && window_has_room(&p->window, p->suspects ? 1 : p->window.limit) &&
	       broker_unsent(p->broker) < UNSENT_MAX;
}

static int publish_waiting(struct publisher *p, struct err *err)
{
	int64_t now = p->waiting.first ? clock_mono_ms() : 0;

	while (can_publish(p)) {
		struct publication *publication = p->waiting.first;
		int r = 0;

		if (publication->pool)
			r = known_declare(&p->known, p->broker, CHANNEL_ASK, p->prefix, publication, err);
		if (!r)
			r = broker_publish(p->broker, CHANNEL_PUBLISH, &publication->out, err);
		if (r == ERR_SERVICE)
			return r;
		publication_take(&p->waiting);
		if (r)
			finish(p, publication, PUBLISH_RETURNED);
		else
			window_add(&p->window, publication, now);
		BROKER_FAULT(p->broker, PUBLISH_WRITTEN);
	}
	return 0;
}

static int answer_questions(struct publisher *p, struct err *err)
{
	struct publication *question;

	while ((question = publication_take(&p->questions))) {
		int r = ERR_AGAIN;
		BROKER_FAULT(p->broker, DEPTH_ASKED);
		/* A broker that has stopped reading would not answer either. */
		if (p->broker && !p->blocked)
			r = publication_ask(question, p->broker, CHANNEL_ASK, err);
		if (r == ERR_NOT_FOUND)
			question->messages = -1;
		publication_append(&p->done, question);
		if (r == ERR_SERVICE)
			return r;
	}
	return 0;
}

static void on_confirmed(struct publisher *p, struct publication *publication)
{
	if (p->suspects)
		p->suspects--;
	if (!publication->returned) {
		finish(p, publication, PUBLISH_CONFIRMED);
	} else if (publication->pool && !publication->declared_again) {
		publication->declared_again = true;
		known_forget(&p->known, publication->queue);
		publication_append(&p->waiting, publication);
	} else {
		finish(p, publication, PUBLISH_RETURNED);
	}
}

/* Later, but for what was only offered: the broker could not store them. */
static void put_off(struct publisher *p, struct publication_list *list)
{
	struct publication_list all = *list;
	struct publication *publication;

	*list = (struct publication_list){0};
	while ((publication = publication_take(&all)))
		if (publication->once)
			finish(p, publication, PUBLISH_DROPPED);
		else
			publication_append(list, publication);
	if (list->first && !p->refused.first)
		p->refused_due = clock_mono_ms() + backoff_ms(REFUSED_MIN_MS, REFUSED_MAX_MS, p->refused_tries++);
	publication_append_all(&p->refused, list);
}

static int on_confirm(struct publisher *p, const struct broker_event *event, struct err *err)
{
	struct publication_list list = {0};
	struct publication *publication;

	if (FAULT(PUBLISH_CONFIRMED))
		return err_set(err, ERR_SERVICE, "a fault");
	window_confirm(&p->window, event->tag, event->multiple, &list);
	if (event->kind == BROKER_ACK) {
		p->tries = p->refused_tries = 0;
		while ((publication = publication_take(&list)))
			on_confirmed(p, publication);
		return 0;
	}
	p->suspects -= list.count < p->suspects ? list.count : p->suspects;
	put_off(p, &list);
	return 0;
}

/* A message that the broker will not have (an exchange that does not exist, too large) closes the channel, and nothing
 * says which one it was. So all are published again, one by one, until it is found. Where the right to write is missing
 * that is no message's fault. */
static int on_channel_closed(struct publisher *p, const struct broker_event *event, struct err *err)
{
	struct publication_list list = {0};
	int r;

	if (broker_no_right(event->text))
		return err_set(err, ERR_REFUSED, "%.200s; it takes another role (flotilla broker apply --users)",
			       event->text);
	if (event->channel == CHANNEL_PUBLISH) {
		window_empty(&p->window, &list);
		p->suspects = list.count;
		if (list.count == 1) {
			finish(p, publication_take(&list), PUBLISH_RETURNED);
			p->suspects = 0;
		}
		publication_prepend_all(&p->waiting, &list);
	}
	r = broker_channel(p->broker, event->channel, err);
	if (!r && event->channel == CHANNEL_PUBLISH)
		r = broker_confirm_select(p->broker, CHANNEL_PUBLISH, err);
	return r;
}

static int on_event(struct publisher *p, const struct broker_event *event, struct err *err)
{
	switch (event->kind) {
	case BROKER_ACK:
	case BROKER_NACK: return on_confirm(p, event, err);
	case BROKER_RETURN: window_mark_returned(&p->window, &event->message); break;
	case BROKER_BLOCKED: p->blocked = true; break;
	case BROKER_UNBLOCKED:
		p->blocked = false;
		p->unblocked_at = clock_mono_ms();
		break;
	case BROKER_CHANNEL_CLOSED: return on_channel_closed(p, event, err);
	default: break;
	}
	return 0;
}

/* A queue that has lost its leader takes messages and never confirms them. What waits too long is put off, so that it
 * does not fill the window for ever, and the session begun anew. */
static int check_confirms(struct publisher *p, struct err *err)
{
	const struct publication *oldest = window_oldest(&p->window);
	int64_t limit_ms = CONFIRM_LIMITS * (p->broker_options.timeout_ms ? p->broker_options.timeout_ms : 10000);
	int64_t since;
	struct publication_list list = {0};

	if (!oldest || p->blocked)
		return 0;
	since = oldest->published_at > p->unblocked_at ? oldest->published_at : p->unblocked_at;
	if (clock_mono_ms() - since < limit_ms)
		return 0;
	err_set(err, ERR_SERVICE, "RabbitMQ has not confirmed a message to '%s' for %d s", oldest->out.routing_key,
		(int)(limit_ms / 1000));
	window_empty(&p->window, &list);
	put_off(p, &list);
	return ERR_SERVICE;
}

/* ERR_AGAIN: all was read. */
static int read_events(struct publisher *p, struct err *err)
{
	for (int i = 0; i < EVENTS_A_TURN; i++) {
		struct broker_event event;
		int r = broker_next(p->broker, &event, err);
		if (!r && event.kind == BROKER_NOTHING)
			return ERR_AGAIN;
		if (!r)
			r = on_event(p, &event, err);
		if (r)
			return r;
	}
	return 0;
}

/* --- the session -------------------------------------------------------------------------------------------------- */

static void lose_session(struct publisher *p, const struct err *why)
{
	struct publication_list list = {0};

	window_empty(&p->window, &list);
	publication_prepend_all(&p->waiting, &list);
	p->suspects = 0;
	p->blocked = false;
	known_forget_all(&p->known);
	p->broker = broker_close(p->broker, false);
	if (why->code != p->told_code)
		tell(p, false, why);
}

static int connect_session(struct publisher *p, struct err *err)
{
	int r = broker_open(&p->broker_options, &p->broker, err);
	if (r) {
		p->broker = NULL;
		return r;
	}
	r = broker_channel(p->broker, CHANNEL_PUBLISH, err);
	if (!r)
		r = broker_confirm_select(p->broker, CHANNEL_PUBLISH, err);
	if (!r)
		r = broker_channel(p->broker, CHANNEL_ASK, err);
	BROKER_FAULT(p->broker, PUBLISHER_CONNECTED);
	if (!r)
		tell(p, true, NULL);
	return r;
}

/* Until the socket or the loop has something, or `most_ms` are over. */
static void sleep_for(struct publisher *p, int64_t most_ms)
{
	struct pollfd fds[2] = {{.fd = p->wake, .events = POLLIN}, {.fd = -1}};
	uint64_t ignored;

	if (p->broker) {
		fds[1].fd = broker_fd(p->broker);
		fds[1].events = (short)(POLLIN | (broker_unsent(p->broker) ? POLLOUT : 0));
	}
	poll(fds, 2, (int)most_ms);
	if (fds[0].revents && read(p->wake, &ignored, sizeof ignored) < 0)
		return;
}

/* Well within half of a heartbeat: broker_next keeps it. */
static int64_t sleep_max_ms(const struct publisher *p)
{
	int64_t part = (int64_t)p->broker_options.heartbeat_s * 1000 / 4;
	return part > 0 && part < SLEEP_MAX_MS ? part : SLEEP_MAX_MS;
}

static int turn(struct publisher *p, struct err *err)
{
	int64_t most_ms = sleep_max_ms(p), now;
	int r;

	take_inbox(p);
	if (p->refused.first) {
		now = clock_mono_ms();
		if (now >= p->refused_due)
			publication_append_all(&p->waiting, &p->refused);
		else if (p->refused_due - now < most_ms)
			most_ms = p->refused_due - now;
	}
	r = publish_waiting(p, err);
	if (!r)
		r = answer_questions(p, err);
	if (!r)
		r = read_events(p, err);
	hand_over(p);
	if (!r || r == ERR_AGAIN) {
		int late = check_confirms(p, err);
		r = late ? late : r;
	}
	if (r && r != ERR_AGAIN)
		return r;
	if (r == ERR_AGAIN && !can_publish(p) && !must_stop(p, &most_ms))
		sleep_for(p, most_ms);
	return 0;
}

/* Between two tries to connect; questions are answered meanwhile. */
static void pause_connecting(struct publisher *p)
{
	int64_t end = clock_mono_ms() + backoff_ms(RECONNECT_MIN_MS, RECONNECT_MAX_MS, p->tries++);
	for (;;) {
		int64_t left = end - clock_mono_ms();
		struct err ignored;

		take_inbox(p);
		answer_questions(p, &ignored);
		hand_over(p);
		if (must_stop(p, &left) || left <= 0)
			return;
		sleep_for(p, left);
	}
}

static void drop_all(struct publisher *p)
{
	struct publication_list list = {0};
	struct publication *publication;

	take_inbox(p);
	window_empty(&p->window, &list);
	publication_append_all(&list, &p->refused);
	publication_append_all(&list, &p->waiting);
	publication_append_all(&list, &p->questions);
	while ((publication = publication_take(&list)))
		finish(p, publication, PUBLISH_DROPPED);
	hand_over(p);
	known_forget_all(&p->known);
}

void *publisher_thread(void *publisher)
{
	struct publisher *p = publisher;
	int64_t ignored = 0;
	struct err err;

	while (!must_stop(p, &ignored)) {
		if (p->broker ? turn(p, &err) : connect_session(p, &err)) {
			lose_session(p, &err);
			pause_connecting(p);
		}
	}
	drop_all(p);
	p->broker = broker_close(p->broker, true);
	return NULL;
}
