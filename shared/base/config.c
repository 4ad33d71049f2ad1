#include "base/config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/duration.h"
#include "base/yaml.h"

/* One file serves all programs of a fleet: what only the worker reads is no error to the others. */
static const char *const worker_keys[] = {
	"pool",           "slots",      "name",         "handlers",    "work_dir", "allow_exec",
	"metrics",        "lease",      "grace",        "aging",       "max_lost", "keep_dirs",
	"retry_services", "log_format", "log_level",    "priorities",  "max_body", "require_signed",
	"job_user",       "replay_dir", "require_user", "max_timeout",
};

static int parse_int(const struct config_item *item, const char *text, int64_t *ret, struct err *err)
{
	int64_t min = item->min, max = item->min || item->max ? item->max : INT64_MAX;
	char *end;
	long long n;

	errno = 0;
	n = strtoll(text, &end, 10);
	if (end == text || *end || errno || n < min || n > max)
		return err_set(err, ERR_INPUT, "must be a whole number from %" PRId64 " to %" PRId64 ", not \"%.60s\"",
			       min, max, text);
	*ret = n;
	return 0;
}

static int parse_duration(const struct config_item *item, const char *text, int64_t *ret, struct err *err)
{
	int64_t max = item->min || item->max ? item->max : DURATION_MAX_MS, ms;
	char least[DURATION_TEXT], most[DURATION_TEXT];
	int error = duration_parse(text, &ms, err);

	if (error)
		return error;
	if (ms < item->min || ms > max) {
		duration_format(item->min, least);
		duration_format(max, most);
		return err_set(err, ERR_INPUT, "must be from %s to %s, not %.60s", least, most, text);
	}
	*ret = ms;
	return 0;
}

static int parse_bool(const char *text, bool *ret, struct err *err)
{
	static const char *const words[] = {"false", "true", "no", "yes", "off", "on", "0", "1"};

	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if (strcmp(text, words[i]) == 0) {
			*ret = i & 1;
			return 0;
		}
	return err_set(err, ERR_INPUT, "must be true or false, not \"%.60s\"", text);
}

static int parse_text(const struct config_item *item, const char *text, struct err *err)
{
	if (item->check)
		return item->check(text, err);
	return 0;
}

/* Checks a value, and takes it unless a stronger source has set the item already. The error does not name the item. */
static int take(struct config_item *item, const char *text, enum config_source source, struct err *err)
{
	int64_t number = 0;
	bool boolean = false;
	int error = 0;

	switch (item->type) {
	case CONFIG_INT: error = parse_int(item, text, &number, err); break;
	case CONFIG_DURATION: error = parse_duration(item, text, &number, err); break;
	case CONFIG_BOOL: error = parse_bool(text, &boolean, err); break;
	case CONFIG_TEXT: error = parse_text(item, text, err); break;
	}
	if (error || source < item->source)
		return error;
	item->source = source;
	if (item->type == CONFIG_TEXT) {
		char **target = item->target;
		free(*target);
		*target = xstrdup(text);
	} else if (item->type == CONFIG_BOOL) {
		*(bool *)item->target = boolean;
	} else {
		*(int64_t *)item->target = number;
	}
	return 0;
}

struct config_item *config_find(struct config_item *items, size_t count, const char *key)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(items[i].key, key) == 0)
			return &items[i];
	return NULL;
}

static bool of_the_worker(const char *key)
{
	for (size_t i = 0; i < sizeof worker_keys / sizeof *worker_keys; i++)
		if (strcmp(worker_keys[i], key) == 0)
			return true;
	return false;
}

/* The text of a value in the file; a list becomes its texts with commas. */
static int file_text(const struct yaml_node *node, const struct config_item *item, struct buf *ret, struct err *err)
{
	if (node->kind == YAML_SEQ && item->type == CONFIG_TEXT) {
		for (size_t i = 0; i < node->count; i++) {
			if (node->items[i]->kind != YAML_SCALAR)
				return yaml_error(err, node->items[i], "`%s` must be a list of texts", node->key);
			buf_addf(ret, "%s%s", i ? "," : "", node->items[i]->text);
		}
		return 0;
	}
	if (node->kind != YAML_SCALAR)
		return yaml_error(err, node, "`%s` must be one value, not %s", node->key, yaml_describe(node));
	if (yaml_scalar_type(node, NULL) == YAML_TYPE_NULL)
		return yaml_error(err, node, "`%s` has no value", node->key);
	if (strlen(node->text) != node->len)
		return yaml_error(err, node, "`%s` must not hold a NUL", node->key);
	buf_adds(ret, node->text);
	return 0;
}

static int take_node(struct config_item *items, size_t count, const struct yaml_node *node, struct err *err)
{
	CLEANUP(buf_release) struct buf text = BUF_INIT;
	struct config_item *item = config_find(items, count, node->key);
	int error;

	if (!item && of_the_worker(node->key))
		return 0;
	if (!item)
		return err_set(err, ERR_INPUT, "%s:%d: `%.100s` is no setting; see flotilla(1) for their names",
			       node->file, node->key_line, node->key);
	error = file_text(node, item, &text, err);
	if (error)
		return error;
	buf_grow(&text, 0);
	if (take(item, text.data, CONFIG_FILE, err))
		return err_prefix(err, "%s:%d: `%s`", node->file, node->line, node->key);
	return 0;
}

static int take_file(struct config_item *items, size_t count, const char *file, struct err *err)
{
	CLEANUP(yaml_node_freep) struct yaml_node *root = NULL;
	int error = yaml_load(file, &root, err);

	if (error) {
		err->code = ERR_INPUT; /* a file that is not there is bad input too */
		return ERR_INPUT;
	}
	if (root->kind == YAML_SCALAR && yaml_scalar_type(root, NULL) == YAML_TYPE_NULL)
		return 0;
	if (root->kind != YAML_MAP)
		return yaml_error(err, root, "must be a map of settings, not %s", yaml_describe(root));
	for (size_t i = 0; i < root->count; i++)
		if (take_node(items, count, root->items[i], err))
			return err->code;
	return 0;
}

static int take_environment(struct config_item *item, struct err *err)
{
	const char *text = item->env ? getenv(item->env) : NULL;

	if (!text || !*text)
		return 0;
	if (take(item, text, CONFIG_ENVIRONMENT, err))
		return err_prefix(err, "%s", item->env);
	return 0;
}

int config_load(struct config_item *items, size_t count, const char *file, struct err *err)
{
	int error = 0;

	for (size_t i = 0; i < count && !error; i++)
		if (items[i].default_text && take(&items[i], items[i].default_text, CONFIG_DEFAULT, err))
			error = err_prefix(err, "the default of `%s`", items[i].key);
	if (!file)
		file = getenv("FLOTILLA_CONFIG");
	if (!error && file && *file)
		error = take_file(items, count, file, err);
	for (size_t i = 0; i < count && !error; i++)
		error = take_environment(&items[i], err);
	return error;
}

int config_set(struct config_item *item, const char *value, const char *name, struct err *err)
{
	if (take(item, value, CONFIG_OPTION, err)) {
		err->code = ERR_USAGE;
		return err_prefix(err, "%s", name);
	}
	return 0;
}

void config_release(struct config_item *items, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (items[i].type == CONFIG_TEXT) {
			char **target = items[i].target;
			free(*target);
			*target = NULL;
		}
}

void config_services_items(struct config_services *services, struct config_item *items)
{
	items[0] = (struct config_item){.key = "amqp_url",
					.env = "FLOTILLA_AMQP_URL",
					.type = CONFIG_TEXT,
					.target = &services->amqp_url,
					.default_text = "amqp://guest:guest@localhost:5672/"};
	items[1] = (struct config_item){.key = "redis_url",
					.env = "FLOTILLA_REDIS_URL",
					.type = CONFIG_TEXT,
					.target = &services->redis_url,
					.default_text = "redis://localhost:6379/0"};
	items[2] = (struct config_item){.key = "prefix",
					.env = "FLOTILLA_PREFIX",
					.type = CONFIG_TEXT,
					.target = &services->prefix,
					.default_text = "flotilla",
					.check = config_check_prefix};
	items[3] = (struct config_item){
		.key = "tls_ca", .env = "FLOTILLA_TLS_CA", .type = CONFIG_TEXT, .target = &services->tls.ca};
	items[4] = (struct config_item){
		.key = "tls_cert", .env = "FLOTILLA_TLS_CERT", .type = CONFIG_TEXT, .target = &services->tls.cert};
	items[5] = (struct config_item){
		.key = "tls_key", .env = "FLOTILLA_TLS_KEY", .type = CONFIG_TEXT, .target = &services->tls.key};
}

void config_signing_item(char **target, struct config_item *ret)
{
	*ret = (struct config_item){
		.key = "signing_keys", .env = "FLOTILLA_SIGNING_KEYS", .type = CONFIG_TEXT, .target = target};
}

bool config_prefix_valid(const char *text)
{
	size_t len = strlen(text);

	if (len >= 2 && text[0] == '{' && text[len - 1] == '}') {
		text++;
		len -= 2;
	}
	return len >= 1 && len <= 64 && strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_-") == len;
}

int config_check_prefix(const char *text, struct err *err)
{
	if (config_prefix_valid(text))
		return 0;
	return err_set(err, ERR_INPUT, "must be 1 to 64 characters of a-z0-9_-, or that in braces, not \"%.80s\"",
		       text);
}
