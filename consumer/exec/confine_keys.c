#include "exec/confine_keys.h"

#include <string.h>

#include "base/duration.h"
#include "base/size.h"
#include "exec/confine.h"

#define MAX_COUNT (1 << 30)
#define MIN_TMP (64 << 10)

static struct confinement *confinement_of(struct handler *handler)
{
	if (!handler->confinement)
		handler->confinement = confinement_new();
	return handler->confinement;
}

int confine_take_user(struct handler *handler, const struct yaml_node *node, struct err *err)
{
	struct err cause;
	int r = yaml_text(node, "user", err);

	if (r == 0 && confine_set_user(confinement_of(handler), node->text, &cause) < 0)
		r = yaml_error(err, node, "%s", cause.text);
	return r;
}

/* --- limits --- */

enum measure { COUNT, BYTES, SECONDS };

static const struct limit_key {
	const char *name;
	int resource;
	enum measure measure;
	int64_t least;
} limit_keys[CONFINE_LIMITS] = {
	{"cpu", RLIMIT_CPU, SECONDS, 1},       {"memory", RLIMIT_AS, BYTES, 1 << 20},
	{"files", RLIMIT_NOFILE, COUNT, 4},    {"processes", RLIMIT_NPROC, COUNT, 1},
	{"file_size", RLIMIT_FSIZE, BYTES, 0}, {"core", RLIMIT_CORE, BYTES, 0},
};

static const struct limit_key *find_limit(const char *name)
{
	for (size_t i = 0; i < CONFINE_LIMITS; i++)
		if (strcmp(limit_keys[i].name, name) == 0)
			return &limit_keys[i];
	return NULL;
}

static int take_measure(const struct limit_key *key, const struct yaml_node *node, int64_t *ret, struct err *err)
{
	struct err cause = {.text = ""};
	int64_t n = 0;
	int r = yaml_text(node, key->name, err);

	if (r < 0)
		return r;
	if (key->measure == COUNT)
		return yaml_int(node, key->name, key->least, MAX_COUNT, ret, err);
	if (key->measure == BYTES)
		r = size_parse(node->text, &n, &cause);
	else
		r = duration_parse(node->text, &n, &cause);
	if (r < 0)
		return yaml_error(err, node, "limits: %s: %s", key->name, cause.text);
	if (key->measure == SECONDS)
		n = (n + 999) / 1000;
	if (n < key->least)
		return yaml_error(err, node, "limits: %s: too little for any program", key->name);
	*ret = n;
	return 0;
}

int confine_take_limits(struct handler *handler, const struct yaml_node *node, struct err *err)
{
	struct confinement *confinement = confinement_of(handler);

	if (node->kind != YAML_MAP || node->count == 0)
		return yaml_error(err, node, "limits must be a map, such as { cpu: 60s, memory: 2GiB, files: 256 }");
	for (size_t i = 0; i < node->count; i++) {
		const struct limit_key *key = find_limit(node->items[i]->key);
		int64_t n = 0;
		int r;

		if (!key)
			return yaml_error(err, node->items[i],
					  "limits: there is no \"%s\"; there are cpu, memory, files, processes, "
					  "file_size and core",
					  node->items[i]->key);
		r = take_measure(key, node->items[i], &n, err);
		if (r < 0)
			return r;
		/* SIGXCPU, which says what it is, then SIGKILL. */
		confinement->limits[confinement->limit_count++] = (struct confine_limit){
			key->resource, key->name, (rlim_t)n, (rlim_t)(key->measure == SECONDS ? n + 1 : n)};
	}
	return 0;
}

/* --- isolate --- */

static int take_tmp(struct confinement *confinement, const struct yaml_node *node, struct err *err)
{
	struct err cause;

	confinement->private_tmp = true;
	if (yaml_text(node, "isolate: tmp", err) < 0)
		return err->code;
	if (strcmp(node->text, "private") == 0)
		return 0;
	if (size_parse(node->text, &confinement->tmp_size, &cause) < 0 || confinement->tmp_size < MIN_TMP)
		return yaml_error(err, node,
				  "isolate: tmp can be \"private\", or how large a private one is, from 64KiB");
	return 0;
}

static int take_network(struct confinement *confinement, const struct yaml_node *node, struct err *err)
{
	confinement->no_network = true;
	if (node->kind != YAML_SCALAR || strcmp(node->text, "none") != 0)
		return yaml_error(err, node, "isolate: network can only be \"none\"; leave it out for the worker's");
	return 0;
}

int confine_take_isolate(struct handler *handler, const struct yaml_node *node, struct err *err)
{
	struct confinement *confinement = confinement_of(handler);
	int r = 0;

	if (node->kind != YAML_MAP || node->count == 0)
		return yaml_error(err, node, "isolate must be a map, such as { tmp: private, network: none }");
	for (size_t i = 0; i < node->count && r == 0; i++) {
		const struct yaml_node *item = node->items[i];

		if (strcmp(item->key, "tmp") == 0)
			r = take_tmp(confinement, item, err);
		else if (strcmp(item->key, "network") == 0)
			r = take_network(confinement, item, err);
		else
			r = yaml_error(err, item, "isolate: there is no \"%s\"; there are tmp and network", item->key);
	}
	return r;
}

int confine_check_paths(const struct handler *handler, const struct yaml_node *node, struct err *err)
{
	const char *program = handler->argv ? handler->argv[0] : NULL;

	if (!handler->confinement || !handler->confinement->private_tmp || !program)
		return 0;
	if (confine_hides(handler->base) &&
	    (handler->kind == &kind_runner || (*program != '/' && strchr(program, '/'))))
		return yaml_error(err, node,
				  "isolate: a private /tmp hides %s, where the handlers file is: put it elsewhere",
				  handler->base);
	for (char **at = handler->argv; *at; at++)
		if (confine_hides(*at) && !placeholders_any(*at))
			return yaml_error(err, node, "isolate: a private /tmp hides %s: put it elsewhere", *at);
	return 0;
}
