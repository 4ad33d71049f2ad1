/* A picture of the fleet, drawn anew each second over the last one. */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/duration.h"
#include "commands.h"
#include "fleet_view.h"
#include "out.h"
#include "record.h"
#include "workers_view.h"

enum { OPT_ONCE = 0x1000, OPT_EVERY };
#define EVERY_MS 1000
#define RUNNING_SHOWN 30

static const struct argp_option options_[] = {
	{"once", OPT_ONCE, 0, 0, "print it once (so it is where there is no terminal)", 0},
	{"every", OPT_EVERY, "DUR", 0, "draw so often (default: 1s)", 0},
	{0},
};

struct options {
	bool once;
	int64_t every_ms;
};

static int take(void *data, int key, const char *value, struct err *err)
{
	struct options *options = data;

	if (key == OPT_EVERY)
		return take_duration(value, &options->every_ms, err);
	options->once = true;
	return 0;
}

struct top {
	struct session *session;
	struct fleet_view before, now;
	bool drawn, fancy, stop;
};

/* --- what runs --- */

struct running {
	const struct ids *ids;
	struct table table;
	int64_t now_ms;
};

static void on_running(void *data, size_t index, const struct store_reply *record)
{
	struct running *running = data;
	char age[DURATION_TEXT];

	if (record_state(record) != JOB_RUNNING)
		return;
	age_format(running->now_ms, record_int(record, "started_at", 0), age);
	table_add(&running->table, running->ids->at[index]);
	table_add(&running->table, record_text(record, "task"));
	table_add(&running->table, record_text(record, "pool"));
	table_addf(&running->table, "%" PRId64, record_int(record, "attempt", 0));
	table_add(&running->table, age);
	table_add(&running->table, record_text(record, "worker"));
	table_add(&running->table, record_text(record, "progress"));
}

static int add_running(struct top *top, struct buf *ret, struct err *err)
{
	static const char *const head[] = {"RUNNING", "TASK", "POOL", "ATTEMPT", "FOR", "WORKER", "PROGRESS"};
	CLEANUP(ids_release) struct ids ids = {0};
	struct running running = {.ids = &ids,
				  .table = {.columns = 7, .fancy = top->fancy, .state = 7, .right = "lllrrll"},
				  .now_ms = top->now.workers.now_ms};
	CLEANUP(store_reply_freep)
	struct store_reply *leases = store_sync(top->session->store, SESSION_ANSWER_MS, err, "ZRANGE %k 0 %d",
						KEY_LEASES, "", (int64_t)RUNNING_SHOWN - 1);
	int r;

	if (!leases)
		return err->code;
	for (size_t i = 0; i < store_reply_count(leases); i++)
		ids_add(&ids, store_text_at(leases, i));
	for (size_t i = 0; i < 7; i++)
		table_add(&running.table, head[i]);
	r = session_each(top->session, "HGETALL", KEY_JOB, (const char *const *)ids.at, ids.count, on_running, &running,
			 err);
	if (r == 0)
		table_write(&running.table, ret);
	table_release(&running.table);
	return r;
}

/* --- rates --- */

static int64_t all_ended(const struct fleet_view *view)
{
	int64_t sum = 0;

	for (int i = 0; i < JOB_STATE_COUNT; i++)
		sum += view->ended[i];
	return sum;
}

static void add_head(const struct top *top, struct buf *ret)
{
	int64_t ms = top->now.workers.now_ms - top->before.workers.now_ms, slots = 0, busy = 0;
	size_t alive = 0;

	for (size_t i = 0; i < top->now.workers.count; i++) {
		const struct worker *worker = &top->now.workers.at[i];
		if (!worker->alive)
			continue;
		alive++;
		slots += worker_int(worker, "slots");
		busy += worker_int(worker, "running");
	}
	buf_addf(ret, "%sfleet%s      %s: %zu workers, %" PRId64 " of %" PRId64 " slots busy", out_bold(top->fancy),
		 out_plain(top->fancy), store_prefix(top->session->store), alive, busy, slots);
	if (top->drawn && ms > 0)
		buf_addf(ret, ", %.1f jobs ended a second",
			 (double)(all_ended(&top->now) - all_ended(&top->before)) * 1000 / (double)ms);
	buf_adds(ret, "\n");
}

/* --- the picture --- */

/* Each line is cut at the edge and clears what stood behind it; the rest of the screen is cleared. */
static void draw_over(const struct buf *text)
{
	int columns = out_columns(stdout), rows = out_rows(stdout) - 1;
	const char *line = text->data;

	fputs("\033[H", stdout);
	for (int row = 0; row < rows && *line; row++) {
		size_t len = strcspn(line, "\n");
		int shown = 0;
		for (size_t i = 0; i < len; i++) {
			if (line[i] == '\033') { /* colours take no room */
				size_t n = strcspn(line + i, "m") + 1;
				fwrite(line + i, 1, n, stdout);
				i += n - 1;
			} else {
				shown += ((unsigned char)line[i] & 0xc0) != 0x80;
				if (shown <= columns)
					putchar(line[i]);
			}
		}
		fputs("\033[0m\033[K\n", stdout);
		line += len + (line[len] == '\n');
	}
	fputs("\033[J", stdout);
	fflush(stdout);
}

static int draw(struct top *top, struct err *err)
{
	CLEANUP(buf_release) struct buf text = BUF_INIT;
	int r;

	fleet_view_release(&top->before);
	top->before = top->now;
	r = fleet_view_read(top->session, NULL, top->drawn ? 0 : 3000, &top->now, err);
	if (r < 0)
		return r;
	add_head(top, &text);
	fleet_view_counts(&top->now, top->fancy, &text);
	buf_adds(&text, "\n");
	fleet_view_queues(&top->now, top->fancy, &text);
	buf_adds(&text, "\n");
	workers_table(&top->now.workers, top->fancy, &text);
	buf_adds(&text, "\n");
	r = add_running(top, &text, err);
	if (r < 0)
		return r;
	top->drawn = true;
	if (top->fancy)
		draw_over(&text);
	else
		fwrite(text.data, 1, text.len, stdout);
	return 0;
}

static void on_signal(uv_signal_t *signal, int number)
{
	(void)number;
	((struct top *)signal->data)->stop = true;
}

static bool is_stopped(void *data) { return ((struct top *)data)->stop; }

/* The terminal's other screen, so that what stood there comes back. */
static int draw_until_stopped(struct top *top, int64_t every_ms, struct err *err)
{
	uv_signal_t interrupt, terminate;
	int r;

	uv_signal_init(&top->session->loop, &interrupt);
	uv_signal_init(&top->session->loop, &terminate);
	interrupt.data = terminate.data = top;
	uv_signal_start(&interrupt, on_signal, SIGINT);
	uv_signal_start(&terminate, on_signal, SIGTERM);
	fputs("\033[?1049h\033[?25l", stdout);
	top->session->patience_ms = SESSION_FOLLOW_MS;
	do {
		r = draw(top, err);
		if (r == 0)
			r = session_run(top->session, is_stopped, top, every_ms, err);
	} while (r == ERR_TIMEOUT);
	fputs("\033[?25h\033[?1049l", stdout);
	fflush(stdout);
	uv_close((uv_handle_t *)&interrupt, NULL);
	uv_close((uv_handle_t *)&terminate, NULL);
	uv_run(&top->session->loop, UV_RUN_NOWAIT);
	return r;
}

static int exec(struct app *app, void *data, struct err *err)
{
	const struct options *options = data;
	CLEANUP(session_close) struct session session = {0};
	struct top top = {.session = &session, .fancy = out_fancy(stdout) && !options->once};
	int r;

	if (session_open(&session, app, err) < 0 || session_open_fleet(&session, err) < 0)
		return err->code;
	if (top.fancy)
		r = draw_until_stopped(&top, options->every_ms ? options->every_ms : EVERY_MS, err);
	else
		r = draw(&top, err);
	fleet_view_release(&top.before);
	fleet_view_release(&top.now);
	return r;
}

const struct command command_top = {
	.name = "top",
	.args = "",
	.help = "watch the fleet: workers, queues, rates, what runs",
	.options = options_,
	.take = take,
	.options_size = sizeof(struct options),
	.exec = exec,
};
