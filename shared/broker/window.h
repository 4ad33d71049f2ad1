/* The messages of one channel that are published and not confirmed, by delivery tag. Confirms come out of order and may
 * stand for several. */
#ifndef FLOTILLA_BROKER_WINDOW_H
#define FLOTILLA_BROKER_WINDOW_H

#include "broker/publication.h"

struct window {
	struct publication **ring;
	uint64_t mask;
	uint64_t oldest;      /* the first tag that may be unconfirmed */
	uint64_t next;        /* the tag of the next message */
	uint64_t return_from; /* returns come in the order of publishing: the next is not before this */
	size_t count, limit;
};

void window_init(struct window *window, size_t limit);
void window_release(struct window *window);
bool window_has_room(const struct window *window, size_t limit);
void window_add(struct window *window, struct publication *publication, int64_t now);
/* The one that has waited longest for its confirm, or NULL. */
const struct publication *window_oldest(const struct window *window);
/* Takes what a confirm stands for out and appends it to `list`. */
void window_confirm(struct window *window, uint64_t tag, bool multiple, struct publication_list *list);
/* Marks the message that came back. The broker does not say which one it was, so it is known by what it is: the first
 * since the last return with the same address, id and body; should there be several, they are equal in everything. */
void window_mark_returned(struct window *window, const struct broker_message *message);
/* Takes all out, in the order of publishing, for a channel that is gone; the next tag is 1 again. */
void window_empty(struct window *window, struct publication_list *list);

#endif
