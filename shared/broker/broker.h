/* A connection to RabbitMQ: one socket, one thread at a time, channels by number. The only room that includes amqp.h.
 *
 * Every wait has a time limit (options.timeout_ms): an answer that does not come ends the connection with ERR_SERVICE.
 * After ERR_SERVICE a connection is dead: close it and open a new one; nothing of it (tags, channels) outlives it. Two
 * ways to use one: a consumer's connection is read by events from a loop (broker_fd, broker_next); a publisher's is
 * driven by publisher.h on a thread of its own. Both may call the blocking operations before their first event.
 */
#ifndef FLOTILLA_BROKER_BROKER_H
#define FLOTILLA_BROKER_BROKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/fault.h"
#include "base/tls.h"

struct broker;

struct broker_options {
	const char *url;  /* amqp:// or amqps:// (contract, section 1); borrowed for the call */
	const char *name; /* connection_name, shown in the management pages; may be NULL */
	int timeout_ms;   /* for each answer; 0: 10 s */
	int heartbeat_s;  /* 0: 10 s */
	/* For amqps; NULL: the system's CAs. Borrowed as long as the connection (or the publisher) lives. */
	const struct tls_files *tls;
};

/* Checks without connecting: the URL, and whether the files of `tls` can be used where it asks for them. ERR_USAGE
 * names what is wrong. The password never stands in an error or a log. */
int broker_options_check(const struct broker_options *options, struct err *err);
/* "amqp://user@host:port/vhost", for people; the caller frees. Never NULL. */
char *broker_url_shown(const char *url);

/* A URL's parts, decoded, owned by the struct. ERR_USAGE; released in any case. */
struct broker_url {
	char *user, *password, *host, *vhost;
	int port;
	bool tls;
	bool secret; /* it holds a password */
};
int broker_url_parse(const char *url, struct broker_url *ret, struct err *err);
void broker_url_release(struct broker_url *url);

/* Over amqps with a certificate of ours and no password in the URL, the certificate is the login (EXTERNAL).
 *
 * Connects and logs in, announcing consumer_cancel_notify, connection.blocked, basic.nack, publisher_confirms and
 * authentication_failure_close. Blocks. ERR_SERVICE: not reached (try again); ERR_REFUSED: wrong password, no such
 * vhost, a server that is not the right one (tls.h). */
int broker_open(const struct broker_options *options, struct broker **ret, struct err *err);
/* Closes, politely for at most a second where `polite`. NULL is fine. Returns NULL. */
struct broker *broker_close(struct broker *broker, bool polite);

/* Opens a channel; blocks. Channel numbers are the caller's: 1… */
int broker_channel(struct broker *broker, uint16_t channel, struct err *err);
/* Switches a channel to publisher confirms; blocks. */
int broker_confirm_select(struct broker *broker, uint16_t channel, struct err *err);

/* A queue's ready messages and consumers, by passive declare; blocks. ERR_NOT_FOUND where there is no such queue (the
 * channel is opened again). */
int broker_queue_depth(struct broker *broker, uint16_t channel, const char *queue, int64_t *ret_messages,
		       int64_t *ret_consumers, struct err *err);

/* Whether the broker's words are that the user has not the right to what was asked. */
bool broker_no_right(const char *text);

/* --- events, for a loop ------------------------------------------------------------------------------------------- */

enum broker_event_kind {
	BROKER_NOTHING,    /* nothing to read now: wait for the socket */
	BROKER_DELIVERY,   /* message, tag, consumer_tag, redelivered */
	BROKER_RETURN,     /* message: nobody took it; its ack follows on the same channel */
	BROKER_ACK,        /* tag, multiple */
	BROKER_NACK,       /* tag, multiple: not stored, publish again later */
	BROKER_CONSUME_OK, /* consumer_tag */
	BROKER_CANCEL_OK,  /* consumer_tag */
	BROKER_QOS_OK,
	BROKER_CANCELLED, /* consumer_tag: the broker ended this consumer (its queue was deleted) */
	BROKER_BLOCKED,   /* reason in text */
	BROKER_UNBLOCKED,
	BROKER_CHANNEL_CLOSED, /* channel, text; close-ok has been sent */
};

/* A message that came; what a message had not is NULL or 0. All of it dies at the next broker_next. Text members are
 * NUL-terminated copies. */
struct broker_message {
	const char *exchange, *routing_key;
	const char *body;
	size_t body_len;
	const char *content_type, *content_encoding, *message_id, *reply_to, *correlation_id, *type;
	size_t correlation_len;
	int returned;       /* x-flotilla-returned, 0 where there is none */
	const char *task;   /* x-flotilla-task, of an invitation; NULL where there is none */
	const char *key_id; /* x-flotilla-key and x-flotilla-signature (job/signature.h); likewise */
	const char *signature;
	const char *user_id;    /* who published it: the broker has checked it */
	const char *moved_user; /* x-flotilla-user-id: who had, of one that the fleet has moved; anybody can write it */
	const char *dead_queue; /* x-first-death-queue: the queue it was dead-lettered from; NULL where there is none */
	const void *properties; /* all of them, for broker_publish's `like` */
};

struct broker_event {
	enum broker_event_kind kind;
	uint16_t channel;
	uint64_t tag;
	bool multiple, redelivered;
	char consumer_tag[64];
	char text[256];
	struct broker_message message;
};

/* Who published a message: what the broker vouches for, or, of one that came by the default exchange, the fleet that
 * moved it: no stranger may write there (broker-config/README.md). NULL: nobody says. */
const char *broker_user(const struct broker_message *message);

int broker_fd(const struct broker *broker);
/* The next event that can be had without waiting. Returns 0 and fills `ret`; ERR_SERVICE: the connection is gone (`err`
 * says why). Must be called until BROKER_NOTHING after any other call, and at least every heartbeat_s / 2 seconds: this
 * is where heartbeats are answered. Bounded by the caller, who may stop early and come back without waiting for the
 * socket. */
int broker_next(struct broker *broker, struct broker_event *ret, struct err *err);

/* Send without waiting for the answer, which comes as an event. 0 or ERR_SERVICE. What is sent here or published may
 * wait in a buffer, so that many go out as one, until broker_next says BROKER_NOTHING or broker_flush is called: one of
 * them must follow before the caller sleeps. */
int broker_qos(struct broker *broker, uint16_t channel, uint16_t prefetch, struct err *err);
int broker_consume(struct broker *broker, uint16_t channel, const char *queue, const char *consumer_tag,
		   struct err *err);
int broker_cancel(struct broker *broker, uint16_t channel, const char *consumer_tag, struct err *err);
int broker_ack(struct broker *broker, uint16_t channel, uint64_t tag, bool multiple, struct err *err);

/* Sends what the socket takes of the buffer now; never waits. 0 or ERR_SERVICE. */
int broker_flush(struct broker *broker, struct err *err);
/* The bytes that are still in the buffer: while there are any, watch the socket for writing as well. */
size_t broker_unsent(const struct broker *broker);

/* --- publishing --------------------------------------------------------------------------------------------------- */

struct broker_header {
	const char *key;
	const char *text; /* NULL: `number` is the value */
	int64_t number;
};

/* A message to publish. Persistent and mandatory, always. All borrowed for the call. With `like`, what would make the
 * broker expire it, refuse it or send it elsewhere too is kept under another name: the property expiration as the
 * header x-flotilla-expiration, the headers CC and BCC as x-flotilla-cc and -bcc; and `user` for the property user_id.
 * Headers of `like` that leave no room in a frame for these are left out, but for a signature, and x-flotilla-headers
 * says so. */
struct broker_out {
	const char *exchange, *routing_key; /* "" is the default exchange */
	const void *body;
	size_t body_len;
	const char *content_type, *message_id, *type, *correlation_id; /* NULL: none */
	size_t correlation_len;
	const struct broker_header *headers; /* set, replacing those of `like` */
	size_t header_count;
	/* Start from these properties and headers (broker_message.properties, or a copy); NULL: none. */
	const void *like;
	/* With `like`: who had published that, kept as x-flotilla-user-id. Without: the property user_id, which has to
	 * be the session's own user. NULL: nobody says. */
	const char *user;
};

/* Publishes; may block where the broker pushes back. The channel's publish count, and so the tag, goes up by one. 0 or
 * ERR_SERVICE; ERR_INPUT where a name is longer than 255 bytes or the `headers` longer than a frame: nothing was sent.
 */
int broker_publish(struct broker *broker, uint16_t channel, const struct broker_out *out, struct err *err);

/* A copy of a message's properties that outlives it; broker_properties_free frees it (NULL is fine). */
void *broker_properties_copy(const void *properties);
void *broker_properties_free(void *properties);

#ifdef FLOTILLA_FAULTS
/* base/fault.h: sends what is written, then does what the point asks for; an error shuts the socket, as if the broker
 * had reset it. NULL is a session that is gone. Any thread that has the session. */
void broker_fault(struct broker *broker, enum fault_point point);
#define BROKER_FAULT(broker, point) broker_fault(broker, FAULT_##point)
#else
#define BROKER_FAULT(broker, point) ((void)0)
#endif

#endif
