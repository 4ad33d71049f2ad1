/* The inside of `struct broker`, for this room only.
 *
 * The session writes its frames itself, into `out`, many to a system call, and never waits for the socket while it
 * does; the library reads. So that the library never writes into the middle of a frame of ours, its own heartbeats are
 * off and the session sends them; before anything that makes the library write (an operation that waits for its
 * answer), `out` is sent to the end. Until it is logged in the library writes. Over TLS `fd` is the plain end of a
 * struct tls, and all this is the same: the library's own TLS has no way for our frames, knows no address in a
 * certificate, and does not say what it found wrong.
 */
#ifndef FLOTILLA_BROKER_SESSION_H
#define FLOTILLA_BROKER_SESSION_H

#include <amqp.h>
#include <amqp_framing.h>

#include "base/buf.h"
#include "broker/broker.h"

/* A message on its way in: method, header and body frames of one channel follow one another. What points into the
 * library's memory stays valid until the channel's buffers are released. */
struct assembly {
	enum { ASSEMBLY_NONE, ASSEMBLY_HEADER, ASSEMBLY_BODY } stage;
	enum broker_event_kind kind;
	uint64_t tag;
	bool redelivered;
	char consumer_tag[64];
	amqp_bytes_t exchange, routing_key;
	amqp_basic_properties_t *properties;
	uint64_t body_size;
	struct buf body, text;
};

struct broker {
	amqp_connection_state_t conn;
	int fd;
	struct tls *tls; /* NULL: `fd` is the connection to the broker itself */
	bool ours;       /* logged in: our own writer, see above */
	bool dead;       /* an error ended it; nothing can be sent any more */
	char *user;
	char *where; /* for people */
	int timeout_ms;
	int64_t heartbeat_ms, last_sent, next_look;
	size_t frame_max; /* of what is sent */
	struct buf out;
	size_t sent; /* of `out` */
	struct assembly *channels;
	size_t channel_count;
	uint16_t to_release; /* the channel whose message the caller has; 0: none */
	struct buf properties;
	amqp_table_entry_t *entries;
	size_t entry_cap;
};

/* Marks the session dead and says so: ERR_SERVICE. */
int session_lost(struct broker *broker, struct err *err, const char *doing, const char *why);
/* 0, or ERR_SERVICE with words where the session is dead already. */
int session_alive(const struct broker *broker, struct err *err);
/* Sends a method without waiting for an answer. */
int session_send(struct broker *broker, uint16_t channel, amqp_method_number_t id, void *decoded, struct err *err);
/* Sends a message: mandatory, with the properties as they are. */
int session_publish(struct broker *broker, uint16_t channel, amqp_basic_publish_t *method,
		    const amqp_basic_properties_t *properties, const void *body, size_t body_len, struct err *err);
/* Before an operation of the library that writes: sends all of `out`, waiting at most the time limit. */
int session_settle(struct broker *broker, struct err *err);
/* The library's last answer on the channel, as one of ours. A channel that the broker closed is opened again.
 * ERR_NOT_FOUND 404, ERR_REFUSED 403 405 406 530, ERR_SERVICE else. */
int session_answer(struct broker *broker, uint16_t channel, const char *doing, struct err *err);
/* The room for a channel's messages. */
struct assembly *session_channel(struct broker *broker, uint16_t channel);
/* Appends a frame of a method, or of a message, to `out`. A header is one frame: ERR_INPUT where it would be longer. */
int frame_method(struct buf *out, uint16_t channel, amqp_method_number_t id, void *decoded);
int frame_header(struct buf *out, uint16_t channel, const amqp_basic_properties_t *properties, uint64_t body_size,
		 size_t frame_max);
void frame_body(struct buf *out, uint16_t channel, const void *bytes, size_t len, size_t frame_max);
/* Appends the properties as they go over the wire. ERR_INPUT where they are too long for any frame. */
int frame_properties(struct buf *out, const amqp_basic_properties_t *properties);

/* A copy of the library's bytes, cut to fit, NUL-terminated. */
void bytes_to_text(char *text, size_t size, amqp_bytes_t bytes);
static inline amqp_bytes_t text_bytes(const char *text) { return text ? amqp_cstring_bytes(text) : amqp_empty_bytes; }

#endif
