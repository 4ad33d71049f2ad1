/* A session with Redis on a libuv loop: pipelined, asynchronous, and recovered as a whole. The only room that includes
 * hiredis.h.
 *
 * A call is kept until it has been answered: when the connection is lost, everything unanswered is sent again on the
 * next one. That is sound because every transition can be done twice (architecture, law 3); so callers never see a lost
 * connection, they only wait. Calls of one turn of the loop leave together. Of calls that are unanswered at the same
 * time any may be done first.
 *
 * All functions are called on the loop's thread; none blocks but the `_sync` ones and store_wait_up, which run the
 * loop. Keys are named by enum store_key (keys.h); replies are read through store_reply.
 */
#ifndef FLOTILLA_STORE_STORE_H
#define FLOTILLA_STORE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "base/err.h"
#include "base/tls.h"
#include "store/keys.h"

struct store;

struct store_options {
	const char *url;    /* redis:// or rediss://[user:password@]host:port/db, or unix://path; copied */
	const char *prefix; /* copied */
	const char *name;   /* CLIENT SETNAME; may be NULL */
	/* Told when the session is up, and when it is lost or cannot be had (err: ERR_SERVICE, or ERR_REFUSED where
	 * trying again is no use: wrong password, other schema, a server that is not the right one). NULL: nobody wants
	 * to know. */
	void (*state)(void *data, bool up, const struct err *err);
	void *data;
	const struct tls_files *tls; /* for rediss; NULL: the system's CAs. Borrowed until store_close */
	size_t links; /* connections to spread calls over; 0: 1. Calls of different turns may then overtake each other.
		       */
};

/* Checks without connecting: the URL, and whether the files of `tls` can be used where it asks for them. ERR_USAGE
 * names what is wrong, never the password. */
int store_options_check(const struct store_options *options, struct err *err);
/* "redis://host:port/db", for people; the caller frees. */
char *store_url_shown(const char *url);

/* Starts connecting; goes on in the background. */
int store_open(uv_loop_t *loop, const struct store_options *options, struct store **ret, struct err *err);
/* Drops what is unanswered without calling back; frees once the loop has run. NULL is fine. */
void store_close(struct store *store);

bool store_up(const struct store *store);
/* How long the present session has lasted, by the monotonic clock; 0 when there is none. */
int64_t store_session_ms(const struct store *store);
/* Whether an answer means that the write is on disk (appendfsync always). */
bool store_durable(const struct store *store);
/* How often the session was lost to a Redis that may have forgotten its last second (it is not durable). What an answer
 * from before the last of these said may not be so any more. The steps of flows whose callers rest on such answers
 * (script.c) are not sent again then: they are answered with an error. */
uint64_t store_losses(const struct store *store);
/* Redis was there at this time or later (monotonic ms), in the present session: an answered call was sent then. 0: none
 * was. Kept only where Redis is not durable. */
int64_t store_alive_at(const struct store *store);
/* Where a scan (HSCAN, SSCAN, SCAN) is. A Redis that has started again has what it holds in another order, and would
 * leave something out behind an old cursor: after a lost session the scan begins anew. */
struct store_cursor {
	char at[24];
	uint64_t sessions;
};
void store_cursor_begin(const struct store *store, struct store_cursor *cursor);
/* Takes the cursor that an answer gave; false: that was all. */
bool store_cursor_move(const struct store *store, struct store_cursor *cursor, const char *next);
/* How many calls are unanswered. */
size_t store_pending(const struct store *store);
/* Redis refuses writes for want of memory; what was refused is tried again by itself. */
bool store_full(const struct store *store);
const char *store_prefix(const struct store *store);
uv_loop_t *store_loop(const struct store *store);
/* Runs the loop until the session is up; ERR_SERVICE after `timeout_ms`, with the reason. */
int store_wait_up(struct store *store, int64_t timeout_ms, struct err *err);

/* --- replies -------------------------------------------------------------------------------------------------------
 */

/* A reply, or a part of one; borrowed for the callback (or until store_reply_free, for the sync calls). */
struct store_reply;

bool store_reply_nil(const struct store_reply *reply);
/* The text of an error reply, else NULL. */
const char *store_reply_error(const struct store_reply *reply);
/* How many elements an array has; 0 for anything else. */
size_t store_reply_count(const struct store_reply *reply);
const struct store_reply *store_reply_at(const struct store_reply *reply, size_t index); /* NULL beyond the end */
/* Text (NUL-terminated; "" for nil, NULL and what is none); `len` may be NULL. */
const char *store_reply_text(const struct store_reply *reply, size_t *len);
int64_t store_reply_int(const struct store_reply *reply); /* of an integer or of decimal text; 0 for anything else */
/* Short forms for element `index`. */
const char *store_text_at(const struct store_reply *reply, size_t index);
int64_t store_int_at(const struct store_reply *reply, size_t index);
/* The value of a field in a flat list name, value, name, value … (HGETALL); NULL where there is none. */
const char *store_field(const struct store_reply *reply, const char *name);

/* --- calls ---------------------------------------------------------------------------------------------------------
 */

/* An argument. STORE_TEXT("…") and STORE_BYTES(p, n). */
struct store_arg {
	const char *at;
	size_t len;
};
#define STORE_TEXT(text) ((struct store_arg){(text), strlen(text)})
#define STORE_BYTES(bytes, length) ((struct store_arg){(bytes), (length)})

typedef void store_done(void *data, const struct store_reply *reply);

/* Runs the transition `name` (shared/store/lua/NAME.lua) on one job. Its arguments begin with id, run and the events
 * channel; `args` follow, and what is left out is empty. Where it answers that the job belongs to another run, it is
 * run again with that. `run` may be NULL. Transitions of one script that are asked for in one turn of the loop go to
 * Redis in one call, each of them by itself: what one of them answers, or fails with, says nothing about the others. */
void store_script(struct store *store, const char *name, const char *id, const char *run, const struct store_arg *args,
		  size_t count, store_done *done, void *data);

/* Sends a command; `done` may be NULL. It may be sent again after a lost connection: only what can be done twice. */
void store_command(struct store *store, store_done *done, void *data, const struct store_arg *args, size_t count);

/* The same, printf-like for short ones: words parted by blanks; %k takes (enum store_key, const char *id) and is a
 * key's name, %s a text of any content, %b (const void *, size_t), %d an int64_t. */
void store_format(struct store *store, store_done *done, void *data, const char *format, ...);

/* Runs the loop until the answer is there. NULL with ERR_SERVICE when Redis is away for `timeout_ms`; error replies are
 * returned as such. The caller frees with store_reply_free. */
struct store_reply *store_sync(struct store *store, int64_t timeout_ms, struct err *err, const char *format, ...);
/* A copy that outlives the callback; nil for NULL. */
struct store_reply *store_reply_copy(const struct store_reply *reply);
void store_reply_free(struct store_reply *reply);
static inline void store_reply_freep(struct store_reply **reply) { store_reply_free(*reply); }

/* --- events --------------------------------------------------------------------------------------------------------
 */

struct store_listener;

/* Listens to the fleet's events, or with `worker` to what is said to that worker, on a connection of its own that comes
 * back by itself. `heard` gets each message; NULL, when the connection is (again) up and every two seconds: look by
 * yourself at what you may have missed. */
struct store_listener *store_listen(struct store *store, const char *worker,
				    void (*heard)(void *data, const char *text), void *data);
/* Frees once the loop has run; NULL is fine. */
void store_unlisten(struct store_listener *listener);

#endif
