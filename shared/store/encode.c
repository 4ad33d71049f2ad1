/* Calls in Redis' protocol. The transitions of a batch go in one EVALSHA, laid out as lua_scripts.h says: each word
 * costs Redis as much as a line of the script, so what all of them share is given once. */
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "store/internal.h"

static void add_head(struct buf *ret, char mark, size_t number)
{
	char head[24], *at = head + sizeof head;

	*--at = '\n';
	*--at = '\r';
	do
		*--at = (char)('0' + number % 10);
	while ((number /= 10) > 0);
	*--at = mark;
	buf_add(ret, at, (size_t)(head + sizeof head - at));
}

static void add_bulk(struct buf *ret, const char *bytes, size_t len)
{
	buf_grow(ret, len + 32);
	add_head(ret, '$', len);
	buf_add(ret, bytes, len);
	buf_add(ret, "\r\n", 2);
}

static void add_number(struct buf *ret, size_t number)
{
	char text[24];
	int n = snprintf(text, sizeof text, "%zu", number);
	add_bulk(ret, text, (size_t)n);
}

void store_encode(struct buf *ret, const struct store_arg *args, size_t count)
{
	add_head(ret, '*', count);
	for (size_t i = 0; i < count; i++)
		add_bulk(ret, args[i].at, args[i].len);
}

/* An argument as the script has it: id and run come first. What is left out is empty. */
static struct store_arg word(const struct store_call *call, size_t at)
{
	if (at < 2)
		return STORE_TEXT(at == 0 ? call->id : call->run);
	return at - 2 < call->count ? call->args[at - 2] : STORE_BYTES("", 0);
}

static size_t word_count(const struct lua_script *script) { return 2 + script->arg_count; }

static size_t named_by(int key) { return store_key_word((enum store_key)key); }

static bool all_same(const struct store_batch *batch, size_t at)
{
	struct store_arg first = word(batch->calls[0], at);

	for (size_t i = 1; i < batch->count; i++) {
		struct store_arg other = word(batch->calls[i], at);
		if (other.len != first.len || (first.len && memcmp(other.at, first.at, first.len) != 0))
			return false;
	}
	return true;
}

static bool any_has(const struct store_batch *batch, size_t at)
{
	for (size_t i = 0; i < batch->count; i++)
		if (word(batch->calls[i], at).len > 0)
			return true;
	return false;
}

/* What each transition of a call has of its own, what is given once, and what is not there (lua_scripts.h). */
struct layout {
	const struct lua_script *script;
	char keys[LUA_SCRIPT_KEYS], words[LUA_SCRIPT_ARGS]; /* LUA_OWN, LUA_SHARED, LUA_ABSENT */
};

static void lay_out(struct layout *layout, const struct store_batch *batch)
{
	const struct lua_script *script = batch->calls[0]->script->script;

	*layout = (struct layout){.script = script};
	for (size_t i = 0; i < word_count(script); i++)
		layout->words[i] = all_same(batch, i) ? LUA_SHARED : LUA_OWN;
	for (size_t i = 0; i < script->key_count; i++)
		layout->keys[i] = script->keys_with[i] && !any_has(batch, script->keys_with[i])
					  ? LUA_ABSENT
					  : layout->words[named_by(script->keys[i])];
}

static size_t count_of(const char *marks, size_t count, char mark)
{
	size_t ret = 0;

	for (size_t i = 0; i < count; i++)
		ret += marks[i] == mark;
	return ret;
}

static void add_layout(struct buf *ret, const struct layout *layout)
{
	const struct lua_script *script = layout->script;

	add_head(ret, '$', script->key_count + word_count(script));
	buf_add(ret, layout->keys, script->key_count);
	buf_add(ret, layout->words, word_count(script));
	buf_add(ret, "\r\n", 2);
}

static void add_key(struct store *store, struct buf *ret, int key, const struct store_call *call)
{
	const char *id = named_by(key) < 2 ? call->id : call->args[0].at;

	buf_reset(&store->scratch);
	store_key(&store->scratch, store->prefix, (enum store_key)key, id, call->run);
	add_bulk(ret, store->scratch.data, store->scratch.len);
}

/* Those that are its own, or those that it shares. */
static void add_keys(struct store *store, struct buf *ret, const struct layout *layout, const struct store_call *call,
		     char which)
{
	for (size_t i = 0; i < layout->script->key_count; i++)
		if (layout->keys[i] == which)
			add_key(store, ret, layout->script->keys[i], call);
}

static void add_words(struct buf *ret, const struct layout *layout, const struct store_call *call, char which)
{
	for (size_t i = 0; i < word_count(layout->script); i++) {
		struct store_arg arg = word(call, i);
		if (layout->words[i] == which)
			add_bulk(ret, arg.at, arg.len);
	}
}

static size_t more_count(const struct lua_script *script, const struct store_call *call)
{
	return script->more && call->count > script->arg_count ? call->count - script->arg_count : 0;
}

static void add_more(struct buf *ret, const struct lua_script *script, const struct store_call *call)
{
	if (!script->more)
		return;
	add_number(ret, more_count(script, call));
	for (size_t i = script->arg_count; i < call->count; i++)
		add_bulk(ret, call->args[i].at, call->args[i].len);
}

void store_encode_batch(struct store *store, const struct store_batch *batch, struct buf *ret)
{
	const struct store_call *first = batch->calls[0];
	const struct lua_script *script = first->script->script;
	struct layout layout;
	size_t keys, args;

	lay_out(&layout, batch);
	keys = script->fleet_key_count + count_of(layout.keys, script->key_count, LUA_SHARED) +
	       count_of(layout.keys, script->key_count, LUA_OWN) * batch->count;
	args = 3 + word_count(script) + count_of(layout.words, word_count(script), LUA_OWN) * (batch->count - 1);
	for (size_t i = 0; script->more && i < batch->count; i++)
		args += 1 + more_count(script, batch->calls[i]);
	add_head(ret, '*', 3 + keys + args);
	add_bulk(ret, "EVALSHA", 7);
	add_bulk(ret, first->script->sha, strlen(first->script->sha));
	add_number(ret, keys);
	for (size_t i = 0; i < script->fleet_key_count; i++)
		add_key(store, ret, script->fleet_keys[i], first);
	add_keys(store, ret, &layout, first, LUA_SHARED);
	for (size_t i = 0; i < batch->count; i++)
		add_keys(store, ret, &layout, batch->calls[i], LUA_OWN);
	add_bulk(ret, store->events.data, store->events.len);
	add_number(ret, batch->count);
	add_layout(ret, &layout);
	add_words(ret, &layout, first, LUA_SHARED);
	for (size_t i = 0; i < batch->count; i++) {
		add_words(ret, &layout, batch->calls[i], LUA_OWN);
		add_more(ret, script, batch->calls[i]);
	}
}

size_t store_encode_words(const struct lua_script *script, const struct store_call *call)
{
	return script->key_count + word_count(script) + more_count(script, call);
}
