#include <stdio.h>

#include "base/cleanup.h"
#include "commands.h"
#include "fleet_view.h"
#include "out.h"

enum { OPT_JSON = 0x1000, OPT_POOL };
#define BROKER_MS 3000

static const struct argp_option options_[] = {
	{"json", OPT_JSON, 0, 0, "as one JSON document", 0},
	{"pool", OPT_POOL, "POOL", 0, "the queues of this pool alone; may be repeated", 0},
	{0},
};

struct options {
	struct texts pools;
	bool json;
};

static int take(void *data, int key, const char *value, struct err *err)
{
	struct options *options = data;

	if (key == OPT_JSON) {
		options->json = true;
		return 0;
	}
	texts_add(&options->pools, value);
	return check_pool(value, err);
}

static void release(void *data) { texts_release(&((struct options *)data)->pools); }

static int exec(struct app *app, void *data, struct err *err)
{
	const struct options *options = data;
	CLEANUP(session_close) struct session session = {0};
	CLEANUP(fleet_view_release) struct fleet_view view = {0};
	CLEANUP(buf_release) struct buf text = BUF_INIT;
	bool fancy = out_fancy(stdout);

	if (session_open(&session, app, err) < 0 || session_open_fleet(&session, err) < 0 ||
	    fleet_view_read(&session, &options->pools, BROKER_MS, &view, err) < 0)
		return err->code;
	if (options->json) {
		out_json(fleet_view_json(&view), stdout);
		return EXIT_OK;
	}
	fleet_view_counts(&view, fancy, &text);
	fleet_view_queues(&view, fancy, &text);
	fwrite(text.data, 1, text.len, stdout);
	return EXIT_OK;
}

const struct command command_stats = {
	.name = "stats",
	.args = "",
	.help = "count: ends since the fleet began, indices in Redis, queues",
	.options = options_,
	.take = take,
	.options_size = sizeof(struct options),
	.release = release,
	.exec = exec,
};
