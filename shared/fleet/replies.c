/* Replies. Each (reply_to, correlation_id) stands once in the job's replies hash, as `CORRELATION_LENGTH:CORRELATION
 * REPLY_TO`, with its encoding; it is struck off when the broker has confirmed the reply, or returned it (a queue that
 * is gone harms nobody). The message_id is made of the job's epoch and the entry's digest, so that a second copy after
 * a fault has the same.
 *
 * A reply that the broker does not take for long (an alarm blocks publishers) is overdue for the caretaker, again and
 * again: what is under way in this process is not sent another time for that. Who asks anew is answered anew. */
#include <inttypes.h>
#include <stdio.h>
#include <uthash.h>

#include "base/fault.h"
#include "fleet/internal.h"
#include "fleet/reply_entry.h"
#include "job/reply.h"

struct answer {
	struct fleet *fleet;
	UT_hash_handle hh; /* of fleet.answers, by `name` */
	size_t name_len;
	const char *entry; /* within the name */
	size_t len;
	char name[]; /* epoch, id, entry: each with a NUL */
};

static struct answer *answer_new(struct fleet *fleet, const char *epoch, const char *id, const char *entry, size_t len)
{
	size_t epoch_size = strlen(epoch) + 1, id_size = strlen(id) + 1;
	struct answer *answer = xcalloc(1, sizeof *answer + epoch_size + id_size + len + 1);

	answer->fleet = fleet;
	answer->len = len;
	answer->entry = answer->name + epoch_size + id_size;
	answer->name_len = epoch_size + id_size + len + 1;
	memcpy(answer->name, epoch, epoch_size);
	memcpy(answer->name + epoch_size, id, id_size);
	memcpy(answer->name + epoch_size + id_size, entry, len);
	return answer;
}

static const char *answer_id(const struct answer *answer) { return answer->name + strlen(answer->name) + 1; }

static bool under_way(const struct answer *answer)
{
	struct answer *other;

	HASH_FIND(hh, answer->fleet->answers, answer->name, answer->name_len, other);
	return other != NULL;
}

void reply_entry_encode(struct buf *ret, const char *reply_to, const char *correlation, size_t len)
{
	buf_addf(ret, "%zu:", len);
	buf_add(ret, correlation, len);
	buf_adds(ret, " ");
	buf_adds(ret, reply_to);
}

bool reply_entry_decode(const char *entry, size_t size, const char **ret_reply_to, const char **ret_correlation,
			size_t *ret_len)
{
	char *end;
	unsigned long len = strtoul(entry, &end, 10);

	if (end == entry || *end != ':' || len > size || (size_t)(end + 1 - entry) + len + 1 > size ||
	    end[1 + len] != ' ')
		return false;
	*ret_correlation = end + 1;
	*ret_len = len;
	*ret_reply_to = end + 1 + len + 1;
	return true;
}

static void on_struck(void *data, const struct store_reply *reply)
{
	struct answer *answer = data;

	(void)reply;
	HASH_DEL(answer->fleet->answers, answer);
	answer->fleet->busy--;
	free(answer);
}

static void on_published(void *data, enum publish_outcome outcome)
{
	struct answer *answer = data;
	struct fleet *fleet = answer->fleet;
	const struct store_arg args[] = {STORE_BYTES(answer->entry, answer->len)};

	FAULT_POINT(REPLY_CONFIRMED);
	if (outcome == PUBLISH_DROPPED)
		on_struck(answer, NULL);
	else
		store_script(answer->fleet->store, "replied", answer_id(answer), NULL, args, 1, on_struck, answer);
	fleet_published(fleet, outcome);
}

/* FNV-1a: a name for an entry, not a secret. */
static uint64_t digest(const char *bytes, size_t len)
{
	uint64_t h = 14695981039346656037u;
	for (size_t i = 0; i < len; i++)
		h = (h ^ (unsigned char)bytes[i]) * 1099511628211u;
	return h;
}

struct asker {
	struct fleet *fleet;
	bool overdue;
	char cursor[24];
	size_t found;
	struct fleet_pause pause;
	char id[];
};

static void publish(const struct asker *asker, const struct store_reply *detail, const char *entry, size_t size,
		    enum job_encoding encoding)
{
	struct fleet *fleet = asker->fleet;
	const char *id = asker->id;
	struct job_reply reply = {
		.id = id,
		.state = store_text_at(detail, 4),
		.result = store_text_at(detail, 3)[0] ? store_text_at(detail, 3) : NULL,
		.error = store_text_at(detail, 1)[0] ? store_text_at(detail, 1) : NULL,
		.reason = store_text_at(detail, 0)[0] ? store_text_at(detail, 0) : NULL,
		.attempt = store_int_at(detail, 5),
		.started_at = store_int_at(detail, 6),
		.ended_at = store_int_at(detail, 7),
	};
	struct broker_out out = {.exchange = "", .type = "flotilla.reply"};
	struct answer *answer = answer_new(fleet, store_text_at(detail, 8), id, entry, size);
	struct buf body = BUF_INIT;
	char message_id[300];

	if (asker->overdue && under_way(answer)) {
		free(answer);
		return;
	}
	FAULT_POINT(REPLY_HANDED);
	HASH_ADD_KEYPTR(hh, fleet->answers, answer->name, answer->name_len, answer);
	fleet->busy++;
	if (!reply_entry_decode(answer->entry, size, &out.routing_key, &out.correlation_id, &out.correlation_len)) {
		on_published(answer, PUBLISH_RETURNED);
		return;
	}
	if (out.correlation_len == 0)
		out.correlation_id = NULL;
	job_reply_encode(&reply, encoding, &body);
	snprintf(message_id, sizeof message_id, "%.200s~%s.%016" PRIx64, id, store_text_at(detail, 8),
		 digest(entry, size));
	out.message_id = message_id;
	out.body = body.data;
	out.body_len = body.len;
	out.content_type = encoding == JOB_JSON ? "application/json" : "application/msgpack";
	/* where its queue is full it stays owed, and the caretaker tries again: one copy is under way at most */
	publisher_offer(fleet->publisher, &out, on_published, answer);
	buf_release(&body);
}

static void ask(void *data);

static void on_asked(void *data, const struct store_reply *reply)
{
	struct asker *asker = data;
	const struct store_reply *entries = store_reply_at(reply, 9);
	const struct store_arg nobody[] = {STORE_TEXT("")};

	for (size_t i = 0; i + 1 < store_reply_count(entries); i += 2) {
		size_t size;
		const char *entry = store_reply_text(store_reply_at(entries, i), &size);
		enum job_encoding encoding =
			strcmp(store_text_at(entries, i + 1), "json") == 0 ? JOB_JSON : JOB_MSGPACK;
		publish(asker, reply, entry, size, encoding);
	}
	asker->found += store_reply_count(entries);
	snprintf(asker->cursor, sizeof asker->cursor, "%s", store_text_at(reply, 10));
	if (asker->cursor[0] && strcmp(asker->cursor, "0") != 0) {
		fleet_when_room(asker->fleet, &asker->pause, ask, asker);
		return;
	}
	if (asker->found == 0)
		store_script(asker->fleet->store, "replied", asker->id, NULL, nobody, 1, NULL, NULL);
	asker->fleet->busy--;
	free(asker);
}

static void ask(void *data)
{
	struct asker *asker = data;
	const struct store_arg args[] = {STORE_TEXT(asker->cursor)};

	store_script(asker->fleet->store, "answer", asker->id, NULL, args, 1, on_asked, asker);
}

static void begin(struct fleet *fleet, const char *id, bool overdue)
{
	size_t len = strlen(id) + 1;
	struct asker *asker;

	if (!fleet->publisher)
		return;
	asker = xcalloc(1, sizeof *asker + len);
	asker->fleet = fleet;
	asker->overdue = overdue;
	snprintf(asker->cursor, sizeof asker->cursor, "0");
	memcpy(asker->id, id, len);
	fleet->busy++;
	ask(asker);
}

void fleet_reply(struct fleet *fleet, const char *id) { begin(fleet, id, false); }
void fleet_reply_overdue(struct fleet *fleet, const char *id) { begin(fleet, id, true); }
