/* What operators write: settings files, handlers files, options, URLs, durations. The first byte chooses. Bad ones get
 * words on one line; what is taken is within its bounds, and means the same when it is written again. */
#include "fuzz.h"

#include "base/config.h"
#include "base/duration.h"
#include "broker/session.h"
#include "exec/internal.h"
#include "store/internal.h"

#define HOUR (INT64_C(3600) * 1000)

static int even(const char *text, struct err *err)
{
	return strlen(text) % 2 == 0 ? 0 : err_set(err, ERR_INPUT, "has an odd length");
}

struct settings {
	struct config_services services;
	char *pool, *name;
	int64_t slots, any, lease_ms, any_ms;
	bool allow_exec;
	struct config_item items[10];
};

static void settings_init(struct settings *s)
{
	memset(s, 0, sizeof *s);
	config_services_items(&s->services, s->items);
	s->items[3] = (struct config_item){.key = "pool", .target = &s->pool, .default_text = "default"};
	s->items[4] = (struct config_item){.key = "name", .target = &s->name, .check = even};
	s->items[5] =
		(struct config_item){.key = "slots", .type = CONFIG_INT, .target = &s->slots, .min = 1, .max = 64};
	s->items[6] = (struct config_item){.key = "any", .type = CONFIG_INT, .target = &s->any};
	s->items[7] = (struct config_item){
		.key = "lease", .type = CONFIG_DURATION, .target = &s->lease_ms, .min = 500, .max = HOUR};
	s->items[8] = (struct config_item){.key = "any_ms", .type = CONFIG_DURATION, .target = &s->any_ms};
	s->items[9] = (struct config_item){.key = "allow_exec", .type = CONFIG_BOOL, .target = &s->allow_exec};
}

static void check_settings(const struct settings *s)
{
	const struct config_item *items = s->items;

	must(config_prefix_valid(s->services.prefix));
	must(items[5].source == CONFIG_NOWHERE || (s->slots >= 1 && s->slots <= 64));
	must(s->any >= 0 && s->any_ms >= 0 && s->any_ms <= DURATION_MAX_MS);
	must(items[7].source == CONFIG_NOWHERE || (s->lease_ms >= 500 && s->lease_ms <= HOUR));
	must(items[4].source == CONFIG_NOWHERE ? !s->name : strlen(s->name) % 2 == 0);
}

static void fuzz_settings(const char *data, size_t size)
{
	struct settings s;
	char path[FUZZ_PATH];
	int fd = fuzz_file(data, size, path);
	struct err err;

	settings_init(&s);
	if (config_load(s.items, 10, path, &err) < 0)
		must_be_words(&err);
	else
		check_settings(&s);
	config_release(s.items, 10);
	close(fd);
}

static void fuzz_handlers(const char *data, size_t size)
{
	struct handlers handlers = {0};
	char path[FUZZ_PATH];
	int fd = fuzz_file(data, size, path);
	struct err err;

	if (handlers_load(&handlers, path, &err) < 0) {
		must_be_words(&err);
		must(err.code == ERR_USAGE);
	} else {
		for (size_t i = 0; i < handlers.count; i++) {
			must(handlers.items[i].kind && handlers_find(&handlers, handlers.items[i].name));
			must(i == 0 || strcmp(handlers.items[i - 1].name, handlers.items[i].name) < 0);
		}
	}
	handlers_release(&handlers);
	close(fd);
}

/* One option of each type, by what it is called. */
static void fuzz_option(const char *text)
{
	struct settings s;
	struct err err;

	settings_init(&s);
	for (size_t i = 0; i < 10; i++)
		if (config_set(&s.items[i], text, "--option", &err) < 0)
			must_be_words(&err);
	s.services.prefix = s.services.prefix ? s.services.prefix : xstrdup("none");
	check_settings(&s);
	config_release(s.items, 10);
}

static void fuzz_duration(const char *text)
{
	char shown[DURATION_TEXT];
	struct err err;
	int64_t ms, again;

	if (duration_parse(text, &ms, &err) < 0) {
		must_be_words(&err);
		return;
	}
	must(ms >= 0 && ms <= DURATION_MAX_MS);
	duration_format(ms, shown);
	must(strlen(shown) < DURATION_TEXT);
	snprintf(shown, sizeof shown, "%lldms", (long long)ms);
	must(duration_parse(shown, &again, &err) == 0 && again == ms);
}

static void fuzz_amqp_url(const char *text)
{
	const struct broker_options options = {.url = text};
	struct broker_url url = {0};
	struct err err;
	char *shown;

	if (broker_url_parse(text, &url, &err) < 0) {
		must_be_words(&err);
		must(broker_options_check(&options, &err) < 0);
	} else {
		must(url.user && url.password && url.host && url.vhost && url.port > 0 && url.port < 65536);
		must(broker_options_check(&options, &err) == 0);
	}
	shown = broker_url_shown(text);
	must(shown != NULL);
	free(shown);
	broker_url_release(&url);
}

static void fuzz_redis_url(const char *text)
{
	const struct store_options options = {.url = text};
	struct store_url url = {0};
	struct err err;
	char *shown;

	if (store_url_parse(text, &url, &err) < 0) {
		must_be_words(&err);
		must(store_options_check(&options, &err) < 0);
	} else {
		must((url.path || (url.host && url.port > 0 && url.port < 65536)) && url.db >= 0);
		must(store_options_check(&options, &err) == 0);
	}
	shown = store_url_shown(text);
	must(shown != NULL);
	free(shown);
	store_url_release(&url);
}

static void fuzz_words(const char *text)
{
	fuzz_option(text);
	fuzz_duration(text);
	fuzz_amqp_url(text);
	fuzz_redis_url(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	if (data[0] % 3 == 0) {
		fuzz_settings((const char *)data + 1, size - 1);
	} else if (data[0] % 3 == 1) {
		fuzz_handlers((const char *)data + 1, size - 1);
	} else {
		char *text = xmemdup0(data + 1, size - 1);
		fuzz_words(text);
		free(text);
	}
	return 0;
}
