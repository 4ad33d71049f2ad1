/* The scripts as the programs carry them, and as this session knows them. */
#include <string.h>

#include "store/internal.h"

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
		info->tried_once = strcmp(info->script->name, "start") == 0;
		info->rests = rests(info->script->name);
	}
	return 0;
}

/* They are sorted by name. */
struct store_script_info *store_script_find(struct store *store, const char *name)
{
	size_t low = 0, high = store->script_count;

	while (low < high) {
		size_t middle = (low + high) / 2;
		int order = strcmp(name, store->scripts[middle].script->name);
		if (order == 0)
			return &store->scripts[middle];
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}
