#include "settings.h"

#include <string.h>

void settings_items(struct app *app, struct config_item items[SETTINGS_COUNT])
{
	config_services_items(&app->services, items);
	items[CONFIG_SERVICES_COUNT] = (struct config_item){.key = "priorities",
							    .type = CONFIG_TEXT,
							    .target = &app->priorities,
							    .default_text = "high,normal,low"};
	items[CONFIG_SERVICES_COUNT + 1] = (struct config_item){.key = "max_body",
								.type = CONFIG_INT,
								.target = &app->max_body,
								.default_text = "1048576",
								.min = 1,
								.max = 16 << 20};
	config_signing_item(&app->signing_keys, &items[CONFIG_SERVICES_COUNT + 2]);
}

/* The middle one where there is no "normal". */
static const char *choose_default(const struct job_limits *limits)
{
	for (size_t i = 0; i < limits->priority_count; i++)
		if (strcmp(limits->priorities[i], "normal") == 0)
			return limits->priorities[i];
	return limits->priorities[limits->priority_count / 2];
}

/* In place: the names are parts of app->priorities. */
static int split_priorities(struct app *app, struct err *err)
{
	size_t count = 0;
	char *at = app->priorities, *name;

	while ((name = strsep(&at, ","))) {
		name += strspn(name, " ");
		if (!job_pool_valid(name, strlen(name)))
			return err_set(err, ERR_INPUT, "priorities: \"%.60s\" is no name of a priority", name);
		if (count == APP_PRIORITIES)
			return err_set(err, ERR_INPUT, "priorities: more than %d", APP_PRIORITIES);
		app->priority_names[count++] = name;
	}
	app->limits.priorities = app->priority_names;
	app->limits.priority_count = count;
	return 0;
}

int settings_load(struct app *app, struct config_item items[SETTINGS_COUNT], struct err *err)
{
	int r = config_load(items, SETTINGS_COUNT, app->config_file, err);

	if (r == 0)
		r = split_priorities(app, err);
	if (r < 0)
		return r;
	app->limits.max_body = (size_t)app->max_body;
	app->limits.prefix = app->services.prefix;
	app->default_priority = choose_default(&app->limits);
	return 0;
}
