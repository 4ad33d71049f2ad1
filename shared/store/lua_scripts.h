/* The Lua scripts of shared/store/lua, as text within the program. The array is written at build time by
 * scripts/embed-lua, sorted by name: to add a script, add a file. */
#ifndef FLOTILLA_STORE_LUA_SCRIPTS_H
#define FLOTILLA_STORE_LUA_SCRIPTS_H

#include <stdbool.h>
#include <stddef.h>

#define LUA_SCRIPT_KEYS 24
#define LUA_SCRIPT_ARGS 24 /* with id and run */

/* A call does the script's transition any number of times. What is the same for all of them is given once. KEYS: those
 * of the fleet, those that all transitions share, then what the first has of its own, the second … ARGV: the events
 * channel; how many transitions; the layout: a text with a mark for each of `keys`, for id, run and each argument; the
 * shared ones; then for each transition its own, and where it takes `more`, their number and those. Its answer is an
 * array: the answer of each; a number behind one says how many more have the same. */
#define LUA_SHARED '0' /* all transitions of the call have the same */
#define LUA_OWN '1'    /* each has its own */
#define LUA_ABSENT '-' /* a key that none has a use for */

struct lua_script {
	const char *name; /* the file's, without .lua */
	const char *text; /* begins with #!lua; NUL-terminated */
	size_t len;       /* of the text, without the NUL */
	int fleet_keys[LUA_SCRIPT_KEYS];
	size_t fleet_key_count;
	int keys[LUA_SCRIPT_KEYS]; /* for each transition */
	/* of each, the argument without which nothing is done with it, as its place behind id and run, which are 0 and
	 * 1; 0: it is always needed */
	size_t keys_with[LUA_SCRIPT_KEYS];
	size_t key_count;
	size_t arg_count;  /* after id and run */
	bool more;         /* further arguments may follow */
	bool needs_memory; /* refused by a Redis that is full */
};

extern const struct lua_script lua_scripts[];
extern const size_t lua_script_count;

#endif
