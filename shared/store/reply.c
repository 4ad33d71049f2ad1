#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "store/internal.h"

static const redisReply *view(const struct store_reply *reply) { return (const redisReply *)reply; }

bool store_reply_nil(const struct store_reply *reply) { return !reply || view(reply)->type == REDIS_REPLY_NIL; }

const char *store_reply_error(const struct store_reply *reply)
{
	return reply && view(reply)->type == REDIS_REPLY_ERROR ? view(reply)->str : NULL;
}

size_t store_reply_count(const struct store_reply *reply)
{
	return reply && view(reply)->type == REDIS_REPLY_ARRAY ? view(reply)->elements : 0;
}

const struct store_reply *store_reply_at(const struct store_reply *reply, size_t index)
{
	if (index >= store_reply_count(reply))
		return NULL;
	return (const struct store_reply *)view(reply)->element[index];
}

const char *store_reply_text(const struct store_reply *reply, size_t *len)
{
	const redisReply *r = view(reply);
	bool text = r && (r->type == REDIS_REPLY_STRING || r->type == REDIS_REPLY_STATUS);

	if (len)
		*len = text ? (size_t)r->len : 0;
	return text ? r->str : "";
}

int64_t store_reply_int(const struct store_reply *reply)
{
	if (reply && view(reply)->type == REDIS_REPLY_INTEGER)
		return view(reply)->integer;
	return strtoll(store_reply_text(reply, NULL), NULL, 10);
}

const char *store_text_at(const struct store_reply *reply, size_t index)
{
	return store_reply_text(store_reply_at(reply, index), NULL);
}

int64_t store_int_at(const struct store_reply *reply, size_t index)
{
	return store_reply_int(store_reply_at(reply, index));
}

const char *store_field(const struct store_reply *reply, const char *name)
{
	for (size_t i = 0; i + 1 < store_reply_count(reply); i += 2)
		if (strcmp(store_text_at(reply, i), name) == 0)
			return store_text_at(reply, i + 1);
	return NULL;
}

/* hiredis frees a reply behind its callback: what is to outlive it is copied. */
struct store_reply *store_reply_copy(const struct store_reply *reply)
{
	const redisReply *from = view(reply);
	redisReply *to = xcalloc(1, sizeof *to);

	if (!from) {
		to->type = REDIS_REPLY_NIL;
		return (struct store_reply *)to;
	}
	to->type = from->type;
	to->integer = from->integer;
	if (from->str) {
		to->str = xmemdup0(from->str, (size_t)from->len);
		to->len = from->len;
	}
	if (from->type == REDIS_REPLY_ARRAY) {
		to->elements = from->elements;
		to->element = xcalloc(from->elements, sizeof *to->element);
		for (size_t i = 0; i < from->elements; i++)
			to->element[i] = (redisReply *)store_reply_copy((const struct store_reply *)from->element[i]);
	}
	return (struct store_reply *)to;
}

void store_reply_free(struct store_reply *reply)
{
	redisReply *r = (redisReply *)reply;

	if (!r)
		return;
	if (r->type == REDIS_REPLY_ARRAY) {
		for (size_t i = 0; i < r->elements; i++)
			store_reply_free((struct store_reply *)r->element[i]);
		free(r->element);
	}
	free(r->str);
	free(r);
}
