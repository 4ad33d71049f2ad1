/* What was handed to the publisher: a message, an invitation or a question, in one piece of memory. */
#ifndef FLOTILLA_BROKER_PUBLICATION_H
#define FLOTILLA_BROKER_PUBLICATION_H

#include "broker/publisher.h"

enum publication_kind { PUBLICATION_MESSAGE, PUBLICATION_INVITE, PUBLICATION_DEPTH, PUBLICATION_MARK };

struct publication {
	struct publication *next;
	enum publication_kind kind;
	publish_done *done;
	publisher_depth_done *depth_done;
	void *data;
	enum publish_outcome outcome;
	int64_t published_at; /* monotonic, ms */
	int64_t messages, consumers;
	bool returned;               /* the broker sent it back; its ack is to come */
	bool once;                   /* not kept where the broker refuses it */
	bool declared_again;         /* an invitation's queue was declared once more */
	const char *queue;           /* invitation, job, question */
	const char *pool, *priority; /* invitation, job: the queue is declared first */
	struct broker_out out;       /* points into `bytes`; owns `like` */
	char bytes[];
};

static inline bool publication_is_question(const struct publication *publication)
{
	return publication->kind == PUBLICATION_DEPTH || publication->kind == PUBLICATION_MARK;
}

/* Each is the caller's to publication_free. */
struct publication *publication_message(const struct broker_out *out);
struct publication *publication_job(const char *prefix, const char *pool, const char *priority,
				    const struct broker_out *out); /* without exchange and routing key */
struct publication *publication_invite(const char *prefix, const char *id, const char *pool, const char *priority,
				       const char *task);
struct publication *publication_question(enum publication_kind kind, const char *queue); /* DEPTH or MARK */
/* Asks the broker a question, and notes its answer; blocks. ERR_NOT_FOUND where what it is about does not exist. */
int publication_ask(struct publication *question, struct broker *broker, uint16_t channel, struct err *err);
void publication_free(struct publication *publication);

/* A queue of publications; {0} is empty. */
struct publication_list {
	struct publication *first, *last;
	size_t count;
};

void publication_append(struct publication_list *list, struct publication *publication);
struct publication *publication_take(struct publication_list *list); /* the first, or NULL */
/* Puts all of `other` behind or before what `list` has; `other` is empty then. */
void publication_append_all(struct publication_list *list, struct publication_list *other);
void publication_prepend_all(struct publication_list *list, struct publication_list *other);

#endif
