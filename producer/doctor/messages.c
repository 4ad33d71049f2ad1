/* A look into the queues: what lies in front is consumed, unacknowledged, and comes back when the connection is closed,
 * where it was. RabbitMQ counts that as a delivery of each, of which a message has 50; so it is done only when asked
 * for.
 *
 * A message of a client may be of a job that nobody knows yet: it brings it. An invitation admits nothing; one for a
 * job that Redis does not know invites nobody. Its job was written before it was sent, so it is not to come any more.
 */
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "broker/topology.h"
#include "doctor/doctor.h"
#include "doctor/queues.h"

#define CHANNEL 1
#define QUIET_MS 300
#define INVITATION "flotilla.invite"

bool queues_sleep(struct broker *broker, int64_t *left_ms)
{
	struct pollfd fd = {.fd = broker_fd(broker), .events = POLLIN};
	int64_t began = clock_mono_ms();

	if (*left_ms <= 0)
		return false;
	poll(&fd, 1, (int)*left_ms);
	*left_ms -= clock_mono_ms() - began + 1;
	return true;
}

struct invitations {
	struct ids ids;
	uint64_t *tags;
};

static void take(struct invitations *invitations, const struct broker_event *event)
{
	const struct broker_message *m = &event->message;
	CLEANUP(freep) char *id = NULL;

	if (!m->type || strcmp(m->type, INVITATION) != 0 || !job_id_valid(m->body, m->body_len))
		return;
	id = xmemdup0(m->body, m->body_len);
	invitations->tags = xrealloc(invitations->tags, (invitations->ids.count + 1) * sizeof *invitations->tags);
	invitations->tags[invitations->ids.count] = event->tag;
	ids_add(&invitations->ids, id);
}

static int fetch(struct broker *broker, const char *queue, int64_t most, struct invitations *ret, struct err *err)
{
	struct broker_event event;
	int64_t left_ms = QUIET_MS, got = 0;
	int r = broker_qos(broker, CHANNEL, (uint16_t)most, err);

	if (r == 0)
		r = broker_consume(broker, CHANNEL, queue, "doctor", err);
	while (r == 0 && got < most && (r = broker_next(broker, &event, err)) == 0) {
		if (event.kind == BROKER_DELIVERY) {
			take(ret, &event);
			got++;
			left_ms = QUIET_MS;
		} else if (event.kind == BROKER_CHANNEL_CLOSED ||
			   (event.kind == BROKER_NOTHING && !queues_sleep(broker, &left_ms))) {
			break;
		}
	}
	return r;
}

static int judge(struct doctor *doctor, struct broker *broker, const char *queue, const struct invitations *invitations,
		 bool remove, struct findings *into, struct err *err)
{
	size_t count = invitations->ids.count;
	CLEANUP(freep) struct store_reply **known = xcalloc(count + 1, sizeof(struct store_reply *));
	struct broker_event event;
	int r;

	for (size_t i = 0; i < count; i++)
		doctor_ask(doctor, &known[i], "EXISTS %k", KEY_JOB, invitations->ids.at[i]);
	r = doctor_wait(doctor, err);
	for (size_t i = 0; i < count; i++) {
		bool nobody = r == 0 && known[i] && store_reply_int(known[i]) == 0;
		store_reply_free(known[i]);
		if (!nobody)
			continue;
		found(into, KIND_INVITES_NOBODY, invitations->ids.at[i], queue,
		      "a message in %s invites workers to it, and there is no record of it", queue);
		if (remove)
			r = broker_ack(broker, CHANNEL, invitations->tags[i], false, err);
	}
	while (r == 0 && remove && (r = broker_next(broker, &event, err)) == 0 && event.kind != BROKER_NOTHING)
		;
	return r;
}

static int look_into(struct doctor *doctor, const char *queue, bool remove, struct findings *into, struct err *err)
{
	struct invitations invitations = {0};
	struct broker *broker = NULL;
	int r = queues_open(doctor, &broker, err);

	if (r < 0)
		return r;
	r = fetch(broker, queue, doctor->options->messages, &invitations, err);
	if (r == 0)
		r = judge(doctor, broker, queue, &invitations, remove, into, err);
	broker_close(broker, r == 0);
	ids_release(&invitations.ids);
	free(invitations.tags);
	return r;
}

int look_messages(struct doctor *doctor, bool remove, struct findings *into, struct err *err)
{
	struct queued *queued, *next;
	char name[TOPOLOGY_NAME_MAX];
	int r = 0;

	HASH_ITER(hh, doctor->queued, queued, next)
	{
		if (queued->messages <= 0 || r < 0)
			continue;
		topology_queue(name, doctor->session->app->services.prefix, queued->pool, queued->priority);
		r = look_into(doctor, name, remove, into, err);
	}
	return r;
}
