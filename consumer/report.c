/* What an attempt says while it runs, on its way to Redis: its directory, its progress, the end of its output. */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "worker.h"

static void on_reported(void *data, const struct store_reply *reply);

static void send_news(struct item *item)
{
	struct item_news *news = &item->news;
	const struct store_arg args[] = {STORE_TEXT(item->token), STORE_TEXT(news->dir && item->dir ? item->dir : ""),
					 STORE_TEXT(news->progress ? news->progress : ""),
					 STORE_BYTES(news->tail ? news->tail : "", news->tail_len)};

	item->reporting = true;
	store_script(item->worker->store, "report", item->id, item->job.run, args, 4, on_reported, attempt_ask(item));
	item->said = news->progress; /* its end may overtake the report, and says it too */
	news->progress = NULL;
	item_forget_news(item);
}

static bool has_news(const struct item *item) { return item->news.dir || item->news.progress || item->news.tail; }

/* One report at a time: while Redis does not answer only the last news is kept, however much there is. */
void report_news(struct item *item)
{
	if (has_news(item) && !item->reporting && item->state == ITEM_RUNNING)
		send_news(item);
}

static void on_reported(void *data, const struct store_reply *reply)
{
	struct item *item = attempt_asked(data);

	(void)reply;
	if (!item)
		return;
	item->reporting = false;
	free(item->said);
	item->said = NULL;
	report_news(item);
}

/* --- what the executor says --- */

void report_started(void *data, const char *dir)
{
	struct item *item = data;

	free(item->dir);
	item->dir = xstrdup(dir);
}

void report_output(void *data, const char *tail, size_t len)
{
	struct item *item = data;

	free(item->news.tail);
	item->news.tail = xmemdup0(tail, len);
	item->news.tail_len = len;
	report_news(item);
}

void report_progress(void *data, const char *text)
{
	struct item *item = data;

	free(item->news.progress);
	item->news.progress = xstrdup(text);
	report_news(item);
}
