/* flotillad: options, environment, file; then worker_run. */
#include <argp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/config.h"
#include "base/log.h"
#include "base/secret.h"
#include "flotilla/version.h"
#include "worker.h"

const char *argp_program_version = "flotillad " FLOTILLA_VERSION;

#define SECOND 1000
#define YEAR (365LL * 24 * 3600 * SECOND)

struct settings {
	struct worker_options options;
	struct config_item items[32];
	size_t count;
	char *file;
};

enum { OPT_TLS_CA = 0x2000, OPT_TLS_CERT, OPT_TLS_KEY }; /* without a letter */

/* Option, key in the file, what its argument is, help: to add a setting, add a row here and one in `settings_init`. */
static const struct argp_option options[] = {
	{"amqp", 'a', "URL", 0, "RabbitMQ [amqp://guest:guest@localhost:5672/]", 1},
	{"redis", 'r', "URL", 0, "Redis [redis://localhost:6379/0]", 1},
	{"prefix", 'P', "PREFIX", 0, "of exchanges, queues, keys and channels [flotilla]", 1},
	{"tls-ca", OPT_TLS_CA, "FILE", 0, "PEM: whom to trust with amqps and rediss [the system's CAs]", 1},
	{"tls-cert", OPT_TLS_CERT, "FILE", 0, "PEM: the certificate to show to servers", 1},
	{"tls-key", OPT_TLS_KEY, "FILE", 0, "PEM: its key [the same file]", 1},
	{"config", 'c', "FILE", 0, "YAML file with these settings as keys (amqp_url, redis_url, slots, ...)", 1},
	{"pool", 'p', "POOL", 0, "whose jobs to run [default]", 2},
	{"slots", 's', "N", 0, "jobs at a time [processors]", 2},
	{"name", 'n', "NAME", 0, "of this worker [HOST-PID-random]", 2},
	{"handlers", 'H', "FILE", 0, "YAML file of the handlers", 2},
	{"work-dir", 'w', "DIR", 0, "where job directories are made [./flotilla-work]", 2},
	{"allow-exec", 'x', NULL, 0, "let jobs of the task exec bring their command lines", 2},
	{"replay-dir", 'D', "DIR", 0, "below which replays read and write [directories that flotilla run made]", 2},
	{"job-user", 'u', "USER", 0, "who runs the jobs of handlers that name no user [the worker's user]", 2},
	{"signing-keys", 'K', "FILE", 0, "the keys by which jobs are signed: lines of ID and KEY", 2},
	{"require-signed", 'S', NULL, 0, "take no message that is not signed with one of them", 2},
	{"max-timeout", 'T', "DURATION", 0, "for one attempt, whatever jobs and handlers say [none]", 2},
	{"require-user", 'U', NULL, 0, "take only messages whose user_id says who published them", 2},
	{"lease", 'l', "DURATION", 0, "how long a running job is this worker's without a sign of life [10s]", 3},
	{"grace", 'g', "DURATION", 0, "how long running jobs may go on after SIGTERM [30s]", 3},
	{"aging", 'A', "DURATION", 0, "after which a job of lower priority gets every tenth start [30s]", 3},
	{"max-lost", 'm', "N", 0, "lost workers after which a job is poison [5]", 3},
	{"keep-dirs", 'k', "DURATION", 0,
	 "how long directories of succeeded jobs stay; of others seven times that [24h]", 3},
	{"retry-services", 'R', "DURATION", 0, "how long a service may be away [60s]", 3},
	{"max-body", 'b', "BYTES", 0, "largest message that is taken [1048576]", 3},
	{"priorities", 'L', "NAMES", 0, "highest first, with commas [high,normal,low]", 3},
	{"metrics", 'M', "ADDR:PORT", 0, "where Prometheus may ask over HTTP; /healthz and /readyz too", 4},
	{"log-format", 'f', "FORMAT", 0, "text or json [text]", 4},
	{"verbose", 'v', NULL, 0, "log what is only for debugging as well", 4},
	{0},
};

static int check_name(const char *text, struct err *err)
{
	if (job_id_valid(text, strlen(text)))
		return 0;
	return err_set(err, ERR_USAGE, "\"%s\" is no name: 1 to 200 of A-Za-z0-9._/@+=,-", text);
}

static int check_pool(const char *text, struct err *err)
{
	if (job_pool_valid(text, strlen(text)))
		return 0;
	return err_set(err, ERR_USAGE, "\"%s\" is no pool: [a-z0-9][a-z0-9_-]{0,62}", text);
}

static int check_format(const char *text, struct err *err)
{
	if (strcmp(text, "text") == 0 || strcmp(text, "json") == 0)
		return 0;
	return err_set(err, ERR_USAGE, "\"%s\" is neither text nor json", text);
}

static void add(struct settings *s, struct config_item item) { s->items[s->count++] = item; }

#define TEXT(name, member, text, test)                                                                                 \
	add(s, (struct config_item){                                                                                   \
		       .key = name, .type = CONFIG_TEXT, .target = &o->member, .default_text = text, .check = test})
#define NUMBER(name, kind, member, text, low, high)                                                                    \
	add(s,                                                                                                         \
	    (struct config_item){                                                                                      \
		    .key = name, .type = kind, .target = &o->member, .default_text = text, .min = low, .max = high})

static void settings_init(struct settings *s, const char *name, const char *slots)
{
	struct worker_options *o = &s->options;
	struct config_services services = {0};

	config_services_items(&services, s->items);
	s->count = CONFIG_SERVICES_COUNT;
	s->items[0].target = &o->amqp_url;
	s->items[1].target = &o->redis_url;
	s->items[2].target = &o->prefix;
	s->items[3].target = &o->tls.ca;
	s->items[4].target = &o->tls.cert;
	s->items[5].target = &o->tls.key;
	TEXT("pool", pool, "default", check_pool);
	TEXT("name", name, name, check_name);
	TEXT("handlers", handlers, NULL, NULL);
	TEXT("replay_dir", replay_dir, NULL, NULL);
	TEXT("job_user", job_user, NULL, NULL);
	TEXT("work_dir", work_dir, "./flotilla-work", NULL);
	TEXT("metrics", metrics, NULL, metrics_check);
	TEXT("log_format", log_format, "text", check_format);
	TEXT("priorities", priorities, "high,normal,low", NULL);
	NUMBER("slots", CONFIG_INT, slots, slots, 1, 4096);
	NUMBER("lease", CONFIG_DURATION, lease_ms, "10s", 500, YEAR);
	NUMBER("grace", CONFIG_DURATION, grace_ms, "30s", 0, YEAR);
	NUMBER("aging", CONFIG_DURATION, aging_ms, "30s", 0, YEAR);
	NUMBER("max_lost", CONFIG_INT, max_lost, "5", 1, 1000000);
	NUMBER("keep_dirs", CONFIG_DURATION, keep_dirs_ms, "24h", 0, YEAR);
	NUMBER("retry_services", CONFIG_DURATION, retry_services_ms, "60s", 0, YEAR);
	NUMBER("max_timeout", CONFIG_DURATION, max_timeout_ms, NULL, 1, YEAR);
	NUMBER("max_body", CONFIG_INT, max_body, "1048576", 1, 16 << 20);
	add(s, (struct config_item){.key = "allow_exec", .type = CONFIG_BOOL, .target = &o->allow_exec});
	config_signing_item(&o->signing_keys, &s->items[s->count++]);
	add(s, (struct config_item){.key = "require_signed", .type = CONFIG_BOOL, .target = &o->require_signed});
	add(s, (struct config_item){.key = "require_user", .type = CONFIG_BOOL, .target = &o->require_user});
}

/* The file's key of an option: its name with _ for -; the three services have the names of section 1. */
static struct config_item *item_of(struct settings *s, const char *name)
{
	char key[64];

	if (strcmp(name, "amqp") == 0 || strcmp(name, "redis") == 0)
		snprintf(key, sizeof key, "%s_url", name);
	else
		snprintf(key, sizeof key, "%s", name);
	for (char *at = key; *at; at++)
		if (*at == '-')
			*at = '_';
	return config_find(s->items, s->count, key);
}

static error_t parse(int key, char *value, struct argp_state *state)
{
	struct settings *s = state->input;
	struct config_item *item = NULL;
	char name[64] = "";
	struct err err;

	if (key == ARGP_KEY_ARG)
		argp_error(state, "unexpected argument \"%s\": flotillad takes options only", value);
	if (key == 'v')
		s->options.verbose = true;
	if (key == 'c')
		s->file = value;
	for (const struct argp_option *o = options; o->name; o++)
		if (o->key == key && key != 'v' && key != 'c') {
			item = item_of(s, o->name);
			snprintf(name, sizeof name, "--%s", o->name);
		}
	if (!item)
		return key == 'v' || key == 'c' ? 0 : ARGP_ERR_UNKNOWN;
	if (config_set(item, value ? value : "true", name, &err) < 0) {
		fprintf(stderr, "flotillad: %s\n", err.text);
		exit(2);
	}
	if (value && (key == 'a' || key == 'r'))
		secret_hide(value);
	return 0;
}

static void default_name(char *name, size_t size)
{
	char host[100] = "", chance[9];

	gethostname(host, sizeof host - 1);
	random_hex(chance, 4);
	snprintf(name, size, "%s-%d-%s", host[0] ? host : "worker", (int)getpid(), chance);
}

int main(int argc, char **argv)
{
	static const struct argp argp = {
		.options = options, .parser = parse, .doc = "Runs the jobs of one pool of a Flotilla fleet."};
	struct settings s = {.file = NULL};
	char name[200], slots[24];
	struct err err;
	int exit_code;

	argp_err_exit_status = 2;
	default_name(name, sizeof name);
	snprintf(slots, sizeof slots, "%ld", sysconf(_SC_NPROCESSORS_ONLN));
	settings_init(&s, name, slots);
	argp_parse(&argp, argc, argv, 0, NULL, &s);
	if (config_load(s.items, s.count, s.file, &err) < 0) {
		fprintf(stderr, "flotillad: %s\n", err.text);
		config_release(s.items, s.count);
		return err_exit_code(err.code);
	}
	log_setup(s.options.verbose ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO, strcmp(s.options.log_format, "json") == 0,
		  s.options.name);
	exit_code = worker_run(&s.options);
	config_release(s.items, s.count);
	return exit_code;
}
