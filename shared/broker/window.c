#include "broker/window.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

void window_init(struct window *window, size_t limit)
{
	size_t size = 1;
	/* One that is confirmed late must not stop those behind it at once. */
	while (size < 4 * limit)
		size *= 2;
	*window = (struct window){.mask = size - 1, .oldest = 1, .next = 1, .return_from = 1, .limit = limit};
	window->ring = xcalloc(size, sizeof *window->ring);
}

void window_release(struct window *window)
{
	free(window->ring);
	window->ring = NULL;
}

bool window_has_room(const struct window *window, size_t limit)
{
	return window->count < limit && window->next - window->oldest <= window->mask;
}

void window_add(struct window *window, struct publication *publication, int64_t now)
{
	publication->published_at = now;
	publication->returned = false;
	window->ring[window->next++ & window->mask] = publication;
	window->count++;
}

static void take(struct window *window, uint64_t tag, struct publication_list *list)
{
	struct publication **slot = &window->ring[tag & window->mask];
	if (!*slot)
		return;
	publication_append(list, *slot);
	*slot = NULL;
	window->count--;
}

static void move_oldest(struct window *window)
{
	while (window->oldest < window->next && !window->ring[window->oldest & window->mask])
		window->oldest++;
}

void window_confirm(struct window *window, uint64_t tag, bool multiple, struct publication_list *list)
{
	if (multiple && (tag == 0 || tag >= window->next))
		tag = window->next - 1;
	if (tag < window->oldest || tag >= window->next)
		return;
	for (uint64_t t = multiple ? window->oldest : tag; t <= tag; t++)
		take(window, t, list);
	move_oldest(window);
}

const struct publication *window_oldest(const struct window *window)
{
	return window->count ? window->ring[window->oldest & window->mask] : NULL;
}

static bool same_text(const char *a, const char *b) { return strcmp(a ? a : "", b ? b : "") == 0; }

/* An id that `like` brought along is not compared: it is in the body's company already. */
static bool is_message(const struct publication *p, const struct broker_message *message)
{
	const struct broker_out *out = &p->out;
	return out->body_len == message->body_len && same_text(out->routing_key, message->routing_key) &&
	       same_text(out->exchange, message->exchange) &&
	       (!out->message_id || same_text(out->message_id, message->message_id)) &&
	       memcmp(out->body, message->body, out->body_len) == 0;
}

void window_mark_returned(struct window *window, const struct broker_message *message)
{
	uint64_t tag = window->return_from > window->oldest ? window->return_from : window->oldest;
	for (; tag < window->next; tag++) {
		struct publication *p = window->ring[tag & window->mask];
		if (p && is_message(p, message)) {
			p->returned = true;
			window->return_from = tag + 1;
			return;
		}
	}
}

void window_empty(struct window *window, struct publication_list *list)
{
	for (; window->oldest < window->next; window->oldest++)
		take(window, window->oldest, list);
	window->oldest = window->next = window->return_from = 1;
}
