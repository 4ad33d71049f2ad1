#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "broker/topology.h"
#include "commands.h"

enum { OPT_POOL = 0x1000 };
#define CHANNEL 1
#define TIMEOUT_MS 5000

static const struct argp_option options_[] = {
	{"pool", OPT_POOL, "POOL", 0, "a pool whose queues to declare (default: default); may be repeated", 0},
	{0},
};

struct options {
	struct texts pools;
};

static int take(void *data, int key, const char *value, struct err *err)
{
	(void)key;
	texts_add(&((struct options *)data)->pools, value);
	return check_pool(value, err);
}

static void release(void *data) { texts_release(&((struct options *)data)->pools); }

static int declare_pool(struct broker *broker, const struct app *app, const char *pool, struct err *err)
{
	const char *prefix = app->services.prefix;
	char name[TOPOLOGY_NAME_MAX];

	for (size_t i = 0; i < app->limits.priority_count; i++) {
		const char *priority = app->limits.priorities[i];
		if (topology_declare_queue(broker, CHANNEL, prefix, pool, priority, err) < 0)
			return err->code;
		topology_queue(name, prefix, pool, priority);
		printf("queue     %s\n", name);
	}
	return 0;
}

static void say_fleet(const char *prefix)
{
	char name[TOPOLOGY_NAME_MAX];

	printf("exchange  %s\n", prefix);
	topology_unrouted(name, prefix);
	printf("exchange  %s\nqueue     %s\n", name, name);
	topology_returned(name, prefix);
	printf("queue     %s\n", name);
	topology_rejected(name, prefix);
	printf("queue     %s\n", name);
}

static int declare(struct broker *broker, const struct app *app, const struct texts *pools, struct err *err)
{
	const char *prefix = app->services.prefix;

	if (broker_channel(broker, CHANNEL, err) < 0 || topology_declare_fleet(broker, CHANNEL, prefix, err) < 0)
		return err->code;
	say_fleet(prefix);
	for (size_t i = 0; i < pools->count; i++)
		if (declare_pool(broker, app, pools->at[i], err) < 0)
			return err->code;
	return EXIT_OK;
}

static int exec(struct app *app, void *data, struct err *err)
{
	struct options *options = data;
	struct broker_options opening = {.url = app->services.amqp_url, .name = "flotilla", .timeout_ms = TIMEOUT_MS};
	struct broker *broker = NULL;
	int r;

	if (strcmp(app->args[0], "apply") != 0)
		return err_set(err, ERR_USAGE, "there is no 'broker %.40s'; it is flotilla broker apply", app->args[0]);
	if (options->pools.count == 0)
		texts_add(&options->pools, DEFAULT_POOL);
	if (broker_url_check(app->services.amqp_url, err) < 0)
		return err->code;
	r = broker_open(&opening, &broker, err);
	if (r == ERR_SERVICE)
		snprintf(err->text + strlen(err->text), sizeof err->text - strlen(err->text),
			 "; is it running? set --amqp or FLOTILLA_AMQP_URL");
	if (r == 0)
		r = declare(broker, app, &options->pools, err);
	broker_close(broker, true);
	return r;
}

const struct command command_broker = {
	.name = "broker",
	.args = "apply",
	.help = "declare the fleet's exchanges and queues in RabbitMQ",
	.more = "Prints what stands. Exit 2 where something is declared otherwise already; the error names the "
		"difference.",
	.options = options_,
	.take = take,
	.options_size = sizeof(struct options),
	.release = release,
	.min_args = 1,
	.max_args = 1,
	.exec = exec,
};
