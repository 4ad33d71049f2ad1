/* Which messages a confirm stands for, and which one came back. */
#include <criterion/criterion.h>
#include <string.h>

#include "broker/window.h"

static void add(struct window *window, const char *key, const char *body)
{
	struct broker_out out = {.exchange = "", .routing_key = key, .body = body, .body_len = strlen(body)};
	window_add(window, publication_message(&out), 0);
}

/* The bodies in the list, one after the other; the list is empty then. */
static const char *bodies(struct publication_list *list, char *text)
{
	struct publication *p;
	size_t len = 0;
	while ((p = publication_take(list))) {
		memcpy(text + len, p->out.body, p->out.body_len);
		len += p->out.body_len;
		if (p->returned)
			text[len++] = '!';
		publication_free(p);
	}
	text[len] = '\0';
	return text;
}

static void mark(struct window *window, const char *key, const char *body)
{
	struct broker_message message = {
		.exchange = "", .routing_key = key, .body = body, .body_len = strlen(body), .message_id = NULL};
	window_mark_returned(window, &message);
}

Test(window, confirms_in_any_order)
{
	struct window window;
	struct publication_list list = {0};
	char text[64];

	window_init(&window, 4);
	for (int i = 0; i < 5; i++)
		add(&window, "q", (const char *[]){"a", "b", "c", "d", "e"}[i]);
	window_confirm(&window, 3, false, &list);
	cr_expect_str_eq(bodies(&list, text), "c");
	window_confirm(&window, 3, false, &list);
	cr_expect_str_eq(bodies(&list, text), "");
	window_confirm(&window, 4, true, &list);
	cr_expect_str_eq(bodies(&list, text), "abd");
	cr_expect_arr_eq(window_oldest(&window)->out.body, "e", 1);
	window_confirm(&window, 99, false, &list);
	window_confirm(&window, 0, true, &list);
	cr_expect_str_eq(bodies(&list, text), "e");
	cr_expect(window.count == 0 && !window_oldest(&window));
	window_release(&window);
}

/* One that is never confirmed must not let the ring run over it. */
Test(window, is_bounded_by_its_oldest)
{
	struct window window;
	struct publication_list list = {0};
	char text[256];
	int published = 0;

	window_init(&window, 4);
	add(&window, "q", "x");
	while (window_has_room(&window, 4)) {
		add(&window, "q", "y");
		window_confirm(&window, (uint64_t)++published + 1, false, &list);
	}
	cr_expect(published == 15, "%d", published);
	bodies(&list, text);
	window_confirm(&window, 1, false, &list);
	cr_expect_str_eq(bodies(&list, text), "x");
	cr_expect(window_has_room(&window, 4));
	window_release(&window);
}

Test(window, knows_what_came_back)
{
	struct window window;
	struct publication_list list = {0};
	char text[64];

	window_init(&window, 16);
	add(&window, "gone", "a");
	add(&window, "q", "a");
	add(&window, "gone", "a");
	add(&window, "gone", "b");
	mark(&window, "gone", "a");
	mark(&window, "gone", "a");
	mark(&window, "gone", "b");
	mark(&window, "elsewhere", "b");
	window_confirm(&window, 4, true, &list);
	cr_expect_str_eq(bodies(&list, text), "a!aa!b!");
	window_release(&window);
}

Test(window, empties_in_order)
{
	struct window window;
	struct publication_list list = {0}, waiting = {0};
	struct broker_out out = {.exchange = "", .routing_key = "q", .body = "z", .body_len = 1};
	char text[64];

	window_init(&window, 16);
	add(&window, "q", "a");
	add(&window, "q", "b");
	add(&window, "q", "c");
	window_confirm(&window, 2, false, &list);
	bodies(&list, text);
	window_empty(&window, &list);
	publication_append(&waiting, publication_message(&out));
	publication_prepend_all(&waiting, &list);
	cr_expect(waiting.count == 3);
	cr_expect_str_eq(bodies(&waiting, text), "acz");
	cr_expect(window.next == 1 && window.count == 0);
	window_release(&window);
}

Test(publication, copies_everything)
{
	struct broker_header headers[] = {{.key = "k", .text = "v"}, {.key = "n", .number = 7}};
	struct broker_out out = {.exchange = "e",
				 .routing_key = "r",
				 .body = "body",
				 .body_len = 4,
				 .content_type = "t",
				 .correlation_id = "a\0b",
				 .correlation_len = 3,
				 .headers = headers,
				 .header_count = 2};
	struct publication *p = publication_message(&out);

	memset(headers, 0, sizeof headers);
	cr_expect_str_eq(p->out.exchange, "e");
	cr_expect_str_eq(p->out.routing_key, "r");
	cr_expect_arr_eq(p->out.body, "body", 4);
	cr_expect_str_eq(p->out.content_type, "t");
	cr_expect(p->out.message_id == NULL && p->out.type == NULL);
	cr_expect(p->out.correlation_len == 3 && memcmp(p->out.correlation_id, "a\0b", 3) == 0);
	cr_expect_str_eq(p->out.headers[0].key, "k");
	cr_expect_str_eq(p->out.headers[0].text, "v");
	cr_expect_str_eq(p->out.headers[1].key, "n");
	cr_expect(p->out.headers[1].text == NULL && p->out.headers[1].number == 7);
	publication_free(p);
}
