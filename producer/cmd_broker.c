#include <stdio.h>
#include <string.h>

#include "access/access.h"
#include "base/cleanup.h"
#include "broker/topology.h"
#include "commands.h"

enum { OPT_POOL = 0x1000, OPT_USERS, OPT_MANAGEMENT, OPT_DEFINITIONS, OPT_ACL };
#define CHANNEL 1
#define TIMEOUT_MS 5000

static const struct argp_option options_[] = {
	{"pool", OPT_POOL, "POOL", 0, "a pool whose queues to declare (default: default); may be repeated", 0},
	{"users", OPT_USERS, "FILE", 0,
	 "the fleet's users and their roles (broker-config/users.example.yaml): with apply they "
	 "get their rights in RabbitMQ and Redis",
	 0},
	{"management", OPT_MANAGEMENT, "URL", 0,
	 "where RabbitMQ's management plugin is (default: http, the host of --amqp, port 15672); none: leave "
	 "RabbitMQ's users alone",
	 0},
	{"definitions", OPT_DEFINITIONS, 0, 0, "with users: print what RabbitMQ imports", 0},
	{"acl", OPT_ACL, 0, 0, "with users: print the lines of Redis' aclfile", 0},
	{0},
};

struct options {
	struct texts pools;
	const char *users, *management;
	bool definitions, acl;
};

static int take(void *data, int key, const char *value, struct err *err)
{
	struct options *options = data;

	switch (key) {
	case OPT_USERS: options->users = value; return 0;
	case OPT_MANAGEMENT: options->management = value; return 0;
	case OPT_DEFINITIONS: options->definitions = true; return 0;
	case OPT_ACL: options->acl = true; return 0;
	default: break;
	}
	texts_add(&options->pools, value);
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

static int apply_topology(const struct app *app, struct options *options, struct err *err)
{
	struct broker_options opening = {
		.url = app->services.amqp_url, .name = "flotilla", .timeout_ms = TIMEOUT_MS, .tls = &app->services.tls};
	struct broker *broker = NULL;
	int r;

	if (options->pools.count == 0)
		texts_add(&options->pools, DEFAULT_POOL);
	if (broker_options_check(&opening, err) < 0)
		return err->code;
	r = broker_open(&opening, &broker, err);
	if (r == ERR_SERVICE && !strstr(err->text, "--amqp"))
		snprintf(err->text + strlen(err->text), sizeof err->text - strlen(err->text),
			 "; is it running? set --amqp or FLOTILLA_AMQP_URL");
	if (r == 0)
		r = declare(broker, app, &options->pools, err);
	broker_close(broker, true);
	return r;
}

static int apply_users(const struct app *app, const struct options *options, const struct access_users *users,
		       struct err *err)
{
	const char *management = options->management;

	if ((!management || strcmp(management, "none") != 0) && access_apply_rabbitmq(app, users, management, err) < 0)
		return err->code;
	return access_apply_redis(app, users, err);
}

static int print_definitions(const struct app *app, const struct access_users *users, struct err *err)
{
	struct broker_url url = {0};
	CLEANUP(freep) char *text = NULL;

	if (broker_url_parse(app->services.amqp_url, &url, err) < 0)
		return err->code;
	text = access_definitions(users, app->services.prefix, url.vhost);
	broker_url_release(&url);
	puts(text);
	return EXIT_OK;
}

static int print_acl(const struct app *app, const struct access_users *users)
{
	for (size_t i = 0; i < users->count; i++) {
		char **rules = access_rules(&users->at[i], app->services.prefix);
		if (rules)
			printf("user %s", users->at[i].name);
		for (char **rule = rules; rule && *rule; rule++)
			printf(" %s", *rule);
		if (rules)
			putchar('\n');
		access_rules_free(rules);
	}
	return EXIT_OK;
}

static int print_users(const struct app *app, const struct options *options, const struct access_users *users,
		       struct err *err)
{
	if (options->definitions == options->acl)
		return err_set(err, ERR_USAGE, "users needs --definitions or --acl, one of them");
	return options->acl ? print_acl(app, users) : print_definitions(app, users, err);
}

static int check_options(const struct app *app, const struct options *options, bool apply, struct err *err)
{
	if (!apply && strcmp(app->args[0], "users") != 0)
		return err_set(err, ERR_USAGE,
			       "there is no 'broker %.40s'; it is flotilla broker apply, or flotilla broker users",
			       app->args[0]);
	if (apply && (options->definitions || options->acl))
		return err_set(err, ERR_USAGE,
			       "--definitions and --acl are for flotilla broker users, which prints them");
	if (!apply && !options->users)
		return err_set(err, ERR_USAGE, "--users is missing: the file with the fleet's users");
	return 0;
}

static int exec(struct app *app, void *data, struct err *err)
{
	struct options *options = data;
	struct access_users users = {0};
	bool apply = strcmp(app->args[0], "apply") == 0;
	int r = check_options(app, options, apply, err);

	if (r == 0 && options->users)
		r = access_users_load(options->users, &users, err);
	if (r == 0)
		r = apply ? apply_topology(app, options, err) : print_users(app, options, &users, err);
	if (r == EXIT_OK && apply && options->users)
		r = apply_users(app, options, &users, err);
	access_users_release(&users);
	return r;
}

const struct command command_broker = {
	.name = "broker",
	.args = "apply|users",
	.help = "declare the fleet's exchanges and queues in RabbitMQ; give users their roles",
	.more = "apply prints what stands. Exit 2 where something is declared otherwise already; the error names the "
		"difference. With --users it is done with an administrator's URLs of both servers. users "
		"touches no server.",
	.options = options_,
	.take = take,
	.options_size = sizeof(struct options),
	.release = release,
	.min_args = 1,
	.max_args = 1,
	.exec = exec,
};
