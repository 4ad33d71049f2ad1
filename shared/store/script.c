/* The scripts: which keys each takes stands in its own first line, `local job, spec = unpack(KEYS)`, and is read there,
 * so that the two cannot differ. */
#include <string.h>

#include "store/internal.h"

static int parse_keys(struct store_script_info *info, struct err *err)
{
	static const char end[] = "= unpack(KEYS)";
	const char *line = strstr(info->script->text, "local ");
	const char *stop = line ? strstr(line, end) : NULL;

	if (!stop || memchr(line, '\n', (size_t)(stop - line)))
		return err_set(err, ERR_INPUT, "script %s: no line \"local … = unpack(KEYS)\"", info->script->name);
	for (const char *at = line + 6; at < stop;) {
		size_t len = strcspn(at, ", =");
		int key = store_key_parse(at, len);
		if (key < 0 || info->key_count == STORE_SCRIPT_KEYS)
			return err_set(err, ERR_INPUT, "script %s: unknown key %.*s", info->script->name, (int)len, at);
		info->keys[info->key_count++] = key;
		at += len;
		at += strspn(at, ", =");
	}
	return 0;
}

/* The steps of flows (shared/fleet) that are true only if those before them still are. */
static bool rests(const char *name)
{
	static const char *const names[] = {"dedup",  "join", "detail",   "watch",   "resolve",
					    "revive", "told", "children", "register"};
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (strcmp(name, names[i]) == 0)
			return true;
	return false;
}

int store_scripts_init(struct store *store, struct err *err)
{
	if (lua_script_count > STORE_SCRIPT_MAX)
		return err_set(err, ERR_INPUT, "more than %d scripts", STORE_SCRIPT_MAX);
	for (size_t i = 0; i < lua_script_count; i++) {
		struct store_script_info *info = &store->scripts[store->script_count++];
		info->script = &lua_scripts[i];
		info->needs_memory =
			!strstr(info->script->text, "allow-oom") && !strstr(info->script->text, "no-writes");
		info->tried_once = strcmp(info->script->name, "start") == 0;
		info->rests = rests(info->script->name);
		if (parse_keys(info, err) < 0)
			return err->code;
	}
	return 0;
}

const struct store_script_info *store_script_find(const struct store *store, const char *name)
{
	for (size_t i = 0; i < store->script_count; i++)
		if (strcmp(store->scripts[i].script->name, name) == 0)
			return &store->scripts[i];
	return NULL;
}
