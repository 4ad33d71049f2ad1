/* What the files of this room share. Not for others. */
#ifndef FLOTILLA_STORE_INTERNAL_H
#define FLOTILLA_STORE_INTERNAL_H

#include <hiredis/async.h>
#include <hiredis/hiredis.h>

#include "store/lua_scripts.h"
#include "store/store.h"

/* Redis takes 16 KiB at a time from a connection, then writes and syncs its log: with several connections more calls
 * share one sync. */
#define STORE_LINKS 8
#define STORE_WRITE (8 << 10) /* what has begun with less than that still fits */
#define STORE_SCRIPT_MAX 48
/* A call of a script does so many transitions at most, with so many keys and arguments, and bytes of these: others wait
 * meanwhile, and a Redis that is held up for a millisecond is not missed. */
#define STORE_BATCH 32
#define STORE_BATCH_WORDS 1000
#define STORE_BATCH_BYTES (256 << 10)

/* A script as this session knows it. */
struct store_script_info {
	const struct lua_script *script;
	char sha[41];    /* "" until Redis has told */
	bool rests;      /* on answers before it: it is not sent again where Redis may have forgotten what they said */
	bool tried_once; /* its caller has another way, and holds something meanwhile: it is told of a full Redis */
};

/* A command, or one transition of a script, that has not been answered. It is in store.unsent while it waits for its
 * turn, for a session, or for its time; else in store.sent. */
struct store_call {
	struct store_call *prev, *next;
	struct store *store;
	struct store_script_info *script; /* NULL: a command */
	store_done *done;
	void *data;
	int64_t not_before; /* monotonic ms; after a refusal that passes */
	bool sent;
	char *id, *run;
	size_t count, bytes; /* of args */
	struct store_arg *args;
};

/* What is sent as one, and answered as one: a command, or transitions of one script. */
struct store_batch {
	struct store_batch *next; /* of those that are being gathered */
	bool full;                /* or a call came that it had no room for */
	size_t count, words, bytes;
	int64_t sent_at; /* where Redis is not durable */
	struct store_call *calls[STORE_BATCH];
};

struct store_url {
	char *host, *user, *password, *path; /* path: a Unix socket */
	int port, db;
	bool tls;
};

/* One connection, whoever uses it: store.c's session or a listener. */
struct store_link {
	uv_loop_t *loop;
	redisAsyncContext *redis;
	uv_poll_t *poll;
	uv_idle_t *flush; /* writes of one turn leave together, at the beginning of the next */
	int events, handles;
	bool writing, released;
	size_t unanswered;  /* batches of the session's */
	int64_t last_reply; /* monotonic ms; or since when there has been something to answer */
	redisConnectCallback *connected;
	const struct store_url *url;
	const struct tls_files *files;
	struct tls *tls; /* rediss, once it is connected: the thread between hiredis and Redis */
	struct err why;  /* what ended it, as far as that is known here; code 0: hiredis knows */
	bool failing;    /* within the callback of a connection that failed: hiredis frees its context behind it */
};

struct store {
	uv_loop_t *loop;
	char *prefix, *name, *shown;
	struct store_url url;
	const struct tls_files *tls;
	void (*state)(void *data, bool up, const struct err *err);
	void *data;
	struct store_link *links[STORE_LINKS];
	size_t link_count; /* as many as the session is to have */
	size_t turn;
	uv_timer_t *timer;
	uv_idle_t *soon; /* calls of one turn are sent together, at the beginning of the next */
	bool connected, up, told_down, durable, full, closing, refused;
	bool scriptless;   /* its user may not load scripts */
	bool answered;     /* Redis has said something to the session that is beginning */
	bool has_to_write; /* a write was refused: the next session is up when one is taken */
	unsigned tries;
	int64_t up_since, alive_at, next_try, connecting_since, ticked;
	size_t setup_left;
	struct err why;
	struct store_script_info scripts[STORE_SCRIPT_MAX];
	size_t script_count;
	struct store_call *unsent, *sent; /* utlists */
	size_t pending;                   /* in both */
	struct store_batch *gathered;     /* while calls are being sent: batches that may still grow */
	struct store_batch *spare;        /* to be used again */
	uint64_t losses;                  /* how often Redis may have forgotten something */
	uint64_t sessions;                /* that were lost */
	struct buf scratch, out, events;
};

/* url.c */
int store_url_parse(const char *url, struct store_url *ret, struct err *err);
void store_url_release(struct store_url *url);

/* link.c: a hiredis connection on the loop; `url` and `files` are borrowed until it is freed. NULL with `err` where it
 * cannot even begin. After an error the link is dead: `connected` (with REDIS_ERR) or `lost` is called; then call
 * store_link_free, from within it or later. */
struct store_link *store_link_open(uv_loop_t *loop, const struct store_url *url, const struct tls_files *files,
				   redisConnectCallback *connected, redisDisconnectCallback *lost, void *data,
				   struct err *err);
/* Why `redis` of the link has ended, within `connected` or `lost`: ERR_SERVICE, or ERR_REFUSED (tls.h). */
int store_link_why(const struct store_link *link, const redisAsyncContext *redis, struct err *err);
void store_link_free(struct store_link *link);
/* Writes what was added to its connection now; otherwise that is done in the next turn. */
void store_link_write(struct store_link *link);

/* script.c */
int store_scripts_init(struct store *store, struct err *err);
struct store_script_info *store_script_find(struct store *store, const char *name);

/* call.c */
void store_calls_unsend(struct store *store);
/* Answers with an error what rests on what Redis may have forgotten. */
void store_calls_fail(struct store *store);
void store_calls_drop(struct store *store);
/* Drops the call with these data of its callback, if it has not been sent. */
bool store_call_withdraw(struct store *store, const void *data);
/* Takes the answer to a call that was sent: it is told, or the call is held to go again. */
void store_call_answered(struct store_call *call, const struct store_reply *reply);

/* batch.c */
void store_calls_soon(struct store *store); /* at the beginning of the next turn, sends what is unsent and due */
void store_calls_send(struct store *store); /* now */
void store_batches_release(struct store *store);

/* encode.c: each appends one command in Redis' protocol. */
void store_encode(struct buf *ret, const struct store_arg *args, size_t count);
void store_encode_batch(struct store *store, const struct store_batch *batch, struct buf *ret);
/* How many keys and arguments a transition adds to a batch, at most. */
size_t store_encode_words(const struct lua_script *script, const struct store_call *call);

/* setup.c: asks what has to be known before the session is up, each answer a store_setup_step */
void store_set_up(struct store *store, struct store_link *link);

/* session.c */
/* The link of a connection that is of the present session; NULL for another's. */
struct store_link *store_present(const struct store *store, const redisAsyncContext *redis);
/* One answer less is awaited before the session is up. */
void store_setup_step(struct store *store);
/* Ends the session for good. */
void store_refuse(struct store *store, const char *why);
void store_link_lost(struct store *store, const char *why);
/* The user has not the right to what was asked: ends the session for good, and says what to do. */
void store_denied(struct store *store, const char *why);

#endif
