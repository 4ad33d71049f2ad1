/* What the options, the environment and the file say, for all sub-commands. */
#ifndef FLOTILLA_PRODUCER_SETTINGS_H
#define FLOTILLA_PRODUCER_SETTINGS_H

#include "app.h"

/* Those of the services, then `priorities` and `max_body` (of the file only), `signing_keys`. */
#define SETTINGS_COUNT (CONFIG_SERVICES_COUNT + 3)

/* Writes the rows, with targets in `app`. */
void settings_items(struct app *app, struct config_item items[SETTINGS_COUNT]);
/* Reads file and environment, and makes app->limits. ERR_INPUT. */
int settings_load(struct app *app, struct config_item items[SETTINGS_COUNT], struct err *err);

#endif
