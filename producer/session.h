/* What a sub-command needs of the services: Redis (but for one that only publishes), RabbitMQ where something is
 * published. One loop, run only while a sub-command waits for something. */
#ifndef FLOTILLA_PRODUCER_SESSION_H
#define FLOTILLA_PRODUCER_SESSION_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "app.h"
#include "broker/publisher.h"
#include "fleet/fleet.h"
#include "job/job.h"
#include "store/store.h"

/* How long a service may be away before a command gives up: at first, and while it follows something. */
#define SESSION_OPEN_MS 5000
#define SESSION_FOLLOW_MS 30000
/* How long a single answer may take. */
#define SESSION_ANSWER_MS 10000

struct session {
	uv_loop_t loop;
	uv_timer_t tick; /* wakes session_run to look at its deadline */
	const struct app *app;
	struct job_limits limits;    /* with the fleet's prefix */
	struct store *store;         /* NULL after session_open_broker */
	struct publisher *publisher; /* NULL until session_open_fleet */
	struct fleet *fleet;         /* likewise; NULL after session_open_broker */
	struct err store_why, broker_why;
	int64_t store_down, broker_down; /* since when, by the monotonic clock; 0: up */
	int64_t store_filled;            /* since when Redis has refused writes for want of memory; 0: it does not */
	int64_t patience_ms;             /* SESSION_OPEN_MS at first; a command that follows raises it */
};

/* Connects to Redis; waits up to SESSION_OPEN_MS. ERR_USAGE: a bad URL; ERR_SERVICE, ERR_REFUSED with what to do.
 * session_close is due whatever this returns. */
int session_open(struct session *session, const struct app *app, struct err *err);
/* Begins to connect to RabbitMQ, without waiting, and makes the fleet. */
int session_open_fleet(struct session *session, struct err *err);
/* Instead of both, for a command that needs no Redis: begins to connect to RabbitMQ, without waiting. */
int session_open_broker(struct session *session, const struct app *app, struct err *err);
/* Drops what is under way. Also of a zeroed session. */
void session_close(struct session *session);

/* Runs the loop until `until` says true; it is asked after each turn. ERR_TIMEOUT after `timeout_ms` (-1: none);
 * ERR_SERVICE or ERR_REFUSED when Redis, or a RabbitMQ that is waited for, has been away for patience_ms. */
int session_run(struct session *session, bool (*until)(void *data), void *data, int64_t timeout_ms, struct err *err);
/* Runs the loop until all flows have ended and all calls are answered. The error of RabbitMQ says that what is ready
 * stays in the outbox. */
int session_finish(struct session *session, struct err *err);

/* Redis' clock, Unix ms. */
int session_now(struct session *session, int64_t *ret_ms, struct err *err);

/* --- many jobs -----------------------------------------------------------------------------------------------------
 */

struct ids {
	char **at;
	size_t count, room;
};
void ids_add(struct ids *ids, const char *id);
void ids_release(struct ids *ids);

/* The jobs of a run, sorted; none where there is no such run. */
int session_ids_of_run(struct session *session, const char *run, struct ids *ret, struct err *err);
/* All jobs of the fleet, in no order, some thousand at a time; one may come twice. `seen` gets each batch; an error
 * that it returns ends the walk. */
int session_ids_of_fleet(struct session *session, int (*seen)(void *data, const struct ids *batch, struct err *err),
			 void *data, struct err *err);

/* Reads a hash (HSCAN) or a set (SSCAN) of any size, batch by batch, so that Redis is never held up; an element may
 * come twice. `seen` gets each batch and says whether to go on. */
typedef bool session_batch(void *data, const struct store_reply *batch);
int session_scan(struct session *session, const char *command, enum store_key key, const char *id, session_batch *seen,
		 void *data, struct err *err);

/* Sends COMMAND KEY for each id, pipelined; `seen` gets each answer with the index of its id. */
typedef void session_seen(void *data, size_t index, const struct store_reply *reply);
int session_each(struct session *session, const char *command, enum store_key key, const char *const *ids, size_t count,
		 session_seen *seen, void *data, struct err *err);

/* One answer; the caller frees with store_reply_free. An error reply is an error. */
struct store_reply *session_ask(struct session *session, const char *command, enum store_key key, const char *id,
				struct err *err);
/* A job's record (HGETALL). NULL with ERR_NOT_FOUND where nobody knows the id. */
struct store_reply *session_record(struct session *session, const char *id, struct err *err);

#endif
