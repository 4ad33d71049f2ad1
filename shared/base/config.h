/* Settings, from three places: options override the environment, which overrides a YAML file, which overrides the
 * default. A program lists its settings in one table and never asks where a value came from.
 *
 *	char *pool = NULL;
 *	int64_t slots;
 *	struct config_item items[] = {
 *		{.key = "pool", .type = CONFIG_TEXT, .target = &pool, .default_text = "default"},
 *		{.key = "slots", .type = CONFIG_INT, .target = &slots, .default_text = "4", .min = 1, .max = 1024},
 *	};
 *	config_load(items, 2, file, &err);                   defaults, file, environment
 *	config_set(&items[0], "gpu", "--pool", &err);        an option; before config_load or after it
 *	config_release(items, 2);
 */
#ifndef FLOTILLA_BASE_CONFIG_H
#define FLOTILLA_BASE_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/tls.h"

enum config_type {
	CONFIG_TEXT,    /* char *target: the caller's to free(), see config_release */
	CONFIG_INT,     /* int64_t *target, within [min, max] */
	CONFIG_BOOL,    /* bool *target: true false yes no on off 1 0 */
	CONFIG_DURATION /* int64_t *target in ms, within [min, max]: 500ms 10s 5m 2h 1d */
};

/* Where the value stands from; a later one overrides. */
enum config_source { CONFIG_NOWHERE, CONFIG_DEFAULT, CONFIG_FILE, CONFIG_ENVIRONMENT, CONFIG_OPTION };

struct config_item {
	const char *key; /* in the file */
	const char *env; /* NULL: not read from the environment */
	enum config_type type;
	void *target;                                    /* written at once when a value is taken */
	const char *default_text;                        /* NULL: the target is left as it is */
	int64_t min, max;                                /* INT, DURATION (ms); both 0: any that is not negative */
	int (*check)(const char *text, struct err *err); /* TEXT; NULL: any. Fills err without naming the setting */
	enum config_source source;                       /* set by the functions below; start with CONFIG_NOWHERE */
};

/* Fills the settings from their defaults, from the YAML file `file` (NULL: what FLOTILLA_CONFIG names; none: no file)
 * and from the environment; what options have set already stays. An empty environment variable counts as unset.
 * ERR_INPUT names file and line (or the variable) and what is wrong: an unknown key, a wrong type, out of range. The
 * worker's keys may stand in the file of a program that has no such setting. A list of texts in the file is taken for
 * TEXT with commas between them. */
int config_load(struct config_item *items, size_t count, const char *file, struct err *err);

/* Takes a value from an option, called `name` ("--pool") in errors: ERR_USAGE. */
int config_set(struct config_item *item, const char *value, const char *name, struct err *err);

/* The item of that key, or NULL. */
struct config_item *config_find(struct config_item *items, size_t count, const char *key);

/* Frees the text targets and sets them NULL. */
void config_release(struct config_item *items, size_t count);

/* What all programs share (contract, section 1): `amqp_url`, `redis_url`, `prefix`, and `tls_ca`, `tls_cert`, `tls_key`
 * for both services. */
struct config_services {
	char *amqp_url;
	char *redis_url;
	char *prefix;
	struct tls_files tls;
};

#define CONFIG_SERVICES_COUNT 6
/* Writes their rows, with targets in `services`, to the first CONFIG_SERVICES_COUNT items, in that order. */
void config_services_items(struct config_services *services, struct config_item *items);

/* `signing_keys`, of the programs that sign or verify (base/keyring.h). */
void config_signing_item(char **target, struct config_item *ret);

/* Whether text can be a prefix: [a-z0-9_-]{1,64}, or that in braces; as a `check` too. */
bool config_prefix_valid(const char *text);
int config_check_prefix(const char *text, struct err *err);

#endif
