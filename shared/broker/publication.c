#include "broker/publication.h"

#include <stdalign.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "broker/topology.h"

static size_t text_size(const char *text) { return text ? strlen(text) + 1 : 0; }

static const char *put_text(char **at, const char *text)
{
	const char *copy = *at;
	if (!text)
		return NULL;
	memcpy(*at, text, strlen(text) + 1);
	*at += strlen(text) + 1;
	return copy;
}

static const void *put_bytes(char **at, const void *bytes, size_t len)
{
	const char *copy = *at;
	if (len)
		memcpy(*at, bytes, len);
	*at += len;
	return copy;
}

static struct publication *blank(enum publication_kind kind, size_t size)
{
	struct publication *p = xmalloc(sizeof *p + size);
	memset(p, 0, sizeof *p);
	p->kind = kind;
	return p;
}

static size_t message_size(const struct broker_out *out)
{
	size_t size = text_size(out->exchange) + text_size(out->routing_key) + text_size(out->content_type) +
		      text_size(out->message_id) + text_size(out->type) + text_size(out->user) + out->body_len +
		      out->correlation_len;
	for (size_t i = 0; i < out->header_count; i++)
		size += sizeof *out->headers + text_size(out->headers[i].key) + text_size(out->headers[i].text);
	return size;
}

_Static_assert(offsetof(struct publication, bytes) % alignof(struct broker_header) == 0, "headers begin at `bytes`");

/* `more` bytes are left at the end, from `ret_at` on. */
static struct publication *copy(enum publication_kind kind, const struct broker_out *out, size_t more, char **ret_at)
{
	struct publication *p = blank(kind, message_size(out) + more);
	struct broker_header *headers = (struct broker_header *)(void *)p->bytes;
	char *at = p->bytes + out->header_count * sizeof *headers;

	p->out = *out;
	p->out.headers = headers;
	for (size_t i = 0; i < out->header_count; i++) {
		headers[i].number = out->headers[i].number;
		headers[i].key = put_text(&at, out->headers[i].key);
		headers[i].text = put_text(&at, out->headers[i].text);
	}
	p->out.exchange = put_text(&at, out->exchange);
	p->out.routing_key = put_text(&at, out->routing_key);
	p->out.content_type = put_text(&at, out->content_type);
	p->out.message_id = put_text(&at, out->message_id);
	p->out.type = put_text(&at, out->type);
	p->out.user = put_text(&at, out->user);
	if (out->correlation_id)
		p->out.correlation_id = put_bytes(&at, out->correlation_id, out->correlation_len);
	p->out.body = put_bytes(&at, out->body, out->body_len);
	*ret_at = at;
	return p;
}

struct publication *publication_message(const struct broker_out *out)
{
	char *ignored;
	return copy(PUBLICATION_MESSAGE, out, 0, &ignored);
}

static struct publication *to_pool(enum publication_kind kind, const char *queue, const char *pool,
				   const char *priority, const struct broker_out *out)
{
	char *at;
	struct publication *p = copy(kind, out, text_size(queue) + text_size(pool) + text_size(priority), &at);

	p->queue = put_text(&at, queue);
	p->pool = put_text(&at, pool);
	p->priority = put_text(&at, priority);
	return p;
}

struct publication *publication_job(const char *prefix, const char *pool, const char *priority,
				    const struct broker_out *out)
{
	struct broker_out full = *out;
	char queue[TOPOLOGY_NAME_MAX];

	topology_queue(queue, prefix, pool, priority);
	full.exchange = prefix;
	full.routing_key = queue + strlen(prefix) + 1;
	return to_pool(PUBLICATION_MESSAGE, queue, pool, priority, &full);
}

struct publication *publication_invite(const char *prefix, const char *id, const char *pool, const char *priority,
				       const char *task)
{
	char queue[TOPOLOGY_NAME_MAX];
	struct broker_header header = {.key = "x-flotilla-task", .text = task};
	struct broker_out out = {
		.exchange = "",
		.routing_key = queue,
		.type = "flotilla.invite",
		.body_len = strlen(id),
		.body = id,
		.headers = &header,
		.header_count = task ? 1 : 0,
	};

	topology_queue(queue, prefix, pool, priority);
	return to_pool(PUBLICATION_INVITE, queue, pool, priority, &out);
}

struct publication *publication_question(enum publication_kind kind, const char *queue)
{
	struct publication *p = blank(kind, text_size(queue));
	char *at = p->bytes;
	p->queue = put_text(&at, queue);
	p->messages = -2;
	return p;
}

int publication_ask(struct publication *question, struct broker *broker, uint16_t channel, struct err *err)
{
	int r;

	if (question->kind == PUBLICATION_DEPTH)
		return broker_queue_depth(broker, channel, question->queue, &question->messages, &question->consumers,
					  err);
	r = topology_marked(broker, channel, question->queue, err);
	if (r == 0)
		question->messages = 0;
	return r;
}

void publication_free(struct publication *publication)
{
	if (!publication)
		return;
	broker_properties_free((void *)publication->out.like);
	free(publication);
}

void publication_append(struct publication_list *list, struct publication *publication)
{
	publication->next = NULL;
	if (list->last)
		list->last->next = publication;
	else
		list->first = publication;
	list->last = publication;
	list->count++;
}

struct publication *publication_take(struct publication_list *list)
{
	struct publication *p = list->first;
	if (!p)
		return NULL;
	list->first = p->next;
	if (!list->first)
		list->last = NULL;
	list->count--;
	p->next = NULL;
	return p;
}

void publication_append_all(struct publication_list *list, struct publication_list *other)
{
	if (!other->first)
		return;
	if (list->last)
		list->last->next = other->first;
	else
		list->first = other->first;
	list->last = other->last;
	list->count += other->count;
	*other = (struct publication_list){0};
}

void publication_prepend_all(struct publication_list *list, struct publication_list *other)
{
	publication_append_all(other, list);
	*list = *other;
	*other = (struct publication_list){0};
}
