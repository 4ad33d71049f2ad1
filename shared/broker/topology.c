#include "broker/topology.h"

#include <stdio.h>
#include <string.h>

#include "broker/session.h"

void topology_queue(char *name, const char *prefix, const char *pool, const char *priority)
{
	snprintf(name, TOPOLOGY_NAME_MAX, "%s.%s.%s", prefix, pool, priority);
}

void topology_unrouted(char *name, const char *prefix) { snprintf(name, TOPOLOGY_NAME_MAX, "%s.unrouted", prefix); }
void topology_returned(char *name, const char *prefix) { snprintf(name, TOPOLOGY_NAME_MAX, "%s.returned", prefix); }
void topology_rejected(char *name, const char *prefix) { snprintf(name, TOPOLOGY_NAME_MAX, "%s.rejected", prefix); }

bool topology_owns(const char *prefix, const char *queue)
{
	size_t len = strlen(prefix);
	return strncmp(queue, prefix, len) == 0 && queue[len] == '.';
}

static amqp_table_entry_t text_argument(const char *key, const char *value)
{
	return (amqp_table_entry_t){
		.key = amqp_cstring_bytes(key),
		.value = {.kind = AMQP_FIELD_KIND_UTF8, .value.bytes = amqp_cstring_bytes(value)},
	};
}

static amqp_table_entry_t number_argument(const char *key, int32_t value)
{
	return (amqp_table_entry_t){
		.key = amqp_cstring_bytes(key),
		.value = {.kind = AMQP_FIELD_KIND_I32, .value.i32 = value},
	};
}

/* The difference is in the broker's own words: which argument, what was asked and what there is. */
static int declared_otherwise(struct err *err, const char *what, const char *name)
{
	char text[sizeof err->text];
	const char *why = strstr(err->text, "PRECONDITION_FAILED - ");

	memcpy(text, why ? why + 22 : err->text, sizeof text - (why ? (size_t)(why + 22 - err->text) : 0));
	text[sizeof text - 1] = '\0';
	return err_set(err, ERR_REFUSED,
		       "%s '%s' is declared otherwise already: %s; delete it, or use another --prefix", what, name,
		       text);
}

/* After a refused declaration: where only the right to declare is missing, it will do if the thing exists. */
static int settle_for_what_exists(int found, const char *what, const char *name, struct err *err)
{
	if (found == ERR_NOT_FOUND)
		return err_set(err, ERR_REFUSED,
			       "%s '%s' does not exist, and the user has no right to declare it; run `flotilla broker "
			       "apply` with a user who has",
			       what, name);
	return found;
}

static bool no_right(const struct err *err) { return broker_no_right(err->text); }

static int declare_queue(struct broker *broker, uint16_t channel, const char *name, amqp_table_t arguments,
			 struct err *err)
{
	int64_t ignored;
	int r = session_alive(broker, err);

	if (!r)
		r = session_settle(broker, err);
	if (r)
		return r;
	amqp_queue_declare(broker->conn, channel, text_bytes(name), 0, 1, 0, 0, arguments);
	r = session_answer(broker, channel, "cannot declare a queue", err);
	if (r != ERR_REFUSED)
		return r;
	if (!no_right(err))
		return declared_otherwise(err, "queue", name);
	return settle_for_what_exists(broker_queue_depth(broker, channel, name, &ignored, &ignored, err), "queue", name,
				      err);
}

enum exchange { EXCHANGE_LOOK, EXCHANGE_DECLARE, EXCHANGE_MARK };

static int send_exchange(struct broker *broker, uint16_t channel, const char *name, const char *type,
			 enum exchange what, amqp_table_t arguments, struct err *err)
{
	int r = session_alive(broker, err);
	if (!r)
		r = session_settle(broker, err);
	if (r)
		return r;
	amqp_exchange_declare(broker->conn, channel, text_bytes(name), text_bytes(type), what == EXCHANGE_LOOK, 1,
			      what == EXCHANGE_MARK, what == EXCHANGE_MARK, arguments);
	return session_answer(broker, channel, "cannot declare an exchange", err);
}

static int declare_exchange(struct broker *broker, uint16_t channel, const char *name, const char *type,
			    amqp_table_t arguments, struct err *err)
{
	int r = send_exchange(broker, channel, name, type, EXCHANGE_DECLARE, arguments, err);
	if (r != ERR_REFUSED)
		return r;
	if (!no_right(err))
		return declared_otherwise(err, "exchange", name);
	return settle_for_what_exists(send_exchange(broker, channel, name, type, EXCHANGE_LOOK, amqp_empty_table, err),
				      "exchange", name, err);
}

/* Without the right to bind there is no way to look either: what exists is taken as it is. */
static int bind_queue(struct broker *broker, uint16_t channel, const char *queue, const char *exchange, const char *key,
		      struct err *err)
{
	int r = session_alive(broker, err);
	if (!r)
		r = session_settle(broker, err);
	if (r)
		return r;
	amqp_queue_bind(broker->conn, channel, text_bytes(queue), text_bytes(exchange), text_bytes(key),
			amqp_empty_table);
	r = session_answer(broker, channel, "cannot bind a queue", err);
	return r == ERR_REFUSED && no_right(err) ? 0 : r;
}

/* The queues for what could not be delivered or is no job. They are the end of the road, so they must neither drop nor
 * dead-letter: no limit of length, a full one refuses (which a publisher sees), and a limit of deliveries that is never
 * reached. It has to be said, for RabbitMQ 4 has a limit of 20 where nothing is said, and before 4.0 a negative one
 * means 0. */
static int declare_last_resort(struct broker *broker, uint16_t channel, const char *name, struct err *err)
{
	amqp_table_entry_t entries[] = {
		text_argument("x-queue-type", "quorum"),
		number_argument("x-delivery-limit", 1000000000),
		text_argument("x-overflow", "reject-publish"),
	};
	return declare_queue(broker, channel, name,
			     (amqp_table_t){.num_entries = sizeof entries / sizeof *entries, .entries = entries}, err);
}

int topology_declare_fleet(struct broker *broker, uint16_t channel, const char *prefix, struct err *err)
{
	char unrouted[TOPOLOGY_NAME_MAX], returned[TOPOLOGY_NAME_MAX], rejected[TOPOLOGY_NAME_MAX];
	amqp_table_entry_t alternate;
	int r;

	topology_unrouted(unrouted, prefix);
	topology_returned(returned, prefix);
	topology_rejected(rejected, prefix);
	alternate = text_argument("alternate-exchange", unrouted);
	r = declare_last_resort(broker, channel, returned, err);
	if (!r)
		r = declare_last_resort(broker, channel, rejected, err);
	if (!r)
		r = declare_last_resort(broker, channel, unrouted, err);
	if (!r)
		r = declare_exchange(broker, channel, unrouted, "fanout", amqp_empty_table, err);
	if (!r)
		r = bind_queue(broker, channel, unrouted, unrouted, "", err);
	/* Last, so that from its first message on what it cannot route has somewhere to go. */
	if (!r)
		r = declare_exchange(broker, channel, prefix, "direct",
				     (amqp_table_t){.num_entries = 1, .entries = &alternate}, err);
	return r;
}

int topology_missing(struct broker *broker, uint16_t channel, const char *prefix, size_t *ret_count, char *ret_name,
		     struct err *err)
{
	char names[TOPOLOGY_PARTS][TOPOLOGY_NAME_MAX];
	int64_t ignored;
	size_t count = 0;

	topology_unrouted(names[0], prefix);
	topology_returned(names[1], prefix);
	topology_rejected(names[2], prefix);
	topology_unrouted(names[3], prefix);
	snprintf(names[4], sizeof names[4], "%s", prefix);
	for (size_t i = 0; i < TOPOLOGY_PARTS; i++) {
		int r = i < 3 ? broker_queue_depth(broker, channel, names[i], &ignored, &ignored, err)
			      : send_exchange(broker, channel, names[i], i == 3 ? "fanout" : "direct", EXCHANGE_LOOK,
					      amqp_empty_table, err);
		if (r < 0 && r != ERR_NOT_FOUND)
			return r;
		if (r == ERR_NOT_FOUND && count++ == 0)
			memcpy(ret_name, names[i], TOPOLOGY_NAME_MAX);
	}
	*ret_count = count;
	return 0;
}

int topology_declare_queue(struct broker *broker, uint16_t channel, const char *prefix, const char *pool,
			   const char *priority, struct err *err)
{
	char name[TOPOLOGY_NAME_MAX], returned[TOPOLOGY_NAME_MAX], key[TOPOLOGY_NAME_MAX];
	int r;

	topology_queue(name, prefix, pool, priority);
	topology_returned(returned, prefix);
	snprintf(key, sizeof key, "%s.%s", pool, priority);
	/* For ever: a queue that is declared with any other argument is refused by every worker that runs. */
	amqp_table_entry_t entries[] = {
		text_argument("x-queue-type", "quorum"),
		number_argument("x-delivery-limit", 50),
		text_argument("x-overflow", "reject-publish"),
		text_argument("x-dead-letter-exchange", ""),
		text_argument("x-dead-letter-routing-key", returned),
		text_argument("x-dead-letter-strategy", "at-least-once"),
	};
	r = declare_queue(broker, channel, name,
			  (amqp_table_t){.num_entries = sizeof entries / sizeof *entries, .entries = entries}, err);
	return r ? r : bind_queue(broker, channel, name, prefix, key, err);
}

int topology_mark(struct broker *broker, uint16_t channel, const char *queue, struct err *err)
{
	int r = send_exchange(broker, channel, queue, "fanout", EXCHANGE_MARK, amqp_empty_table, err);
	return r ? r : bind_queue(broker, channel, queue, queue, "", err);
}

int topology_marked(struct broker *broker, uint16_t channel, const char *queue, struct err *err)
{
	return send_exchange(broker, channel, queue, "fanout", EXCHANGE_LOOK, amqp_empty_table, err);
}
