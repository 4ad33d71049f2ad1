/* The Lua scripts of shared/store/lua, as text within the program. The array is written at build time by
 * scripts/embed-lua, sorted by name: to add a script, add a file. */
#ifndef FLOTILLA_STORE_LUA_SCRIPTS_H
#define FLOTILLA_STORE_LUA_SCRIPTS_H

#include <stddef.h>

struct lua_script {
	const char *name; /* the file's, without .lua */
	const char *text; /* begins with #!lua; NUL-terminated */
	size_t len;       /* of the text, without the NUL */
};

extern const struct lua_script lua_scripts[];
extern const size_t lua_script_count;

#endif
