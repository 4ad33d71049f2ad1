/* The properties of a message that goes out, and copies of those of one that came. */
#include <stdlib.h>
#include <string.h>

#include "broker/session.h"
#include "job/signature.h"

enum { SHORT_MAX = 255 };

static bool is(const amqp_table_entry_t *entry, const char *key)
{
	return entry->key.len == strlen(key) && memcmp(entry->key.bytes, key, entry->key.len) == 0;
}

/* The header called `key`, a new one where there is none. */
static amqp_table_entry_t *header(amqp_table_t *table, const char *key)
{
	amqp_table_entry_t *entry;
	for (int i = 0; i < table->num_entries; i++)
		if (is(&table->entries[i], key))
			return &table->entries[i];
	entry = &table->entries[table->num_entries++];
	memset(entry, 0, sizeof *entry);
	entry->key = amqp_cstring_bytes(key);
	return entry;
}

static void set_text(amqp_table_t *table, const char *key, amqp_bytes_t value)
{
	amqp_table_entry_t *entry = header(table, key);
	entry->value.kind = AMQP_FIELD_KIND_UTF8;
	entry->value.value.bytes = value;
}

static void drop(amqp_table_t *table, const char *key)
{
	for (int i = table->num_entries - 1; i >= 0; i--)
		if (is(&table->entries[i], key))
			table->entries[i] = table->entries[--table->num_entries];
}

static void set_property(amqp_basic_properties_t *properties, amqp_flags_t flag, amqp_bytes_t *property,
			 const char *text)
{
	if (!text)
		return;
	*property = amqp_cstring_bytes(text);
	properties->_flags |= flag;
}

/* What would act on the copy as it did on the original is renamed (broker.h). */
static void disarm(struct broker *broker, amqp_basic_properties_t *properties, const char *user)
{
	amqp_table_t *headers = &properties->headers;
	for (int i = 0; i < headers->num_entries; i++) {
		if (is(&headers->entries[i], "CC"))
			headers->entries[i].key = amqp_cstring_bytes("x-flotilla-cc");
		else if (is(&headers->entries[i], "BCC"))
			headers->entries[i].key = amqp_cstring_bytes("x-flotilla-bcc");
	}
	if (properties->_flags & AMQP_BASIC_EXPIRATION_FLAG)
		set_text(headers, "x-flotilla-expiration", properties->expiration);
	drop(headers, "x-flotilla-user-id");
	properties->_flags &= ~(amqp_flags_t)AMQP_BASIC_USER_ID_FLAG;
	if (user && strcmp(user, broker->user) == 0)
		set_property(properties, AMQP_BASIC_USER_ID_FLAG, &properties->user_id, user);
	else if (user)
		set_text(headers, "x-flotilla-user-id", amqp_cstring_bytes(user));
	properties->_flags &= ~(amqp_flags_t)AMQP_BASIC_EXPIRATION_FLAG;
}

/* Without these a signed job is none. */
static bool signs(const amqp_table_entry_t *entry)
{
	return (is(entry, SIGNATURE_KEY) || is(entry, SIGNATURE_MAC)) && entry->value.kind == AMQP_FIELD_KIND_UTF8 &&
	       entry->value.value.bytes.len <= SHORT_MAX;
}

/* Of headers that leave no room in a frame for ours; there may be thousands of one name. */
static void copy_few(amqp_table_t *to, const amqp_table_t *from)
{
	for (int i = 0; i < from->num_entries; i++)
		if (signs(&from->entries[i]))
			*header(to, is(&from->entries[i], SIGNATURE_KEY) ? SIGNATURE_KEY : SIGNATURE_MAC) =
				from->entries[i];
	set_text(to, "x-flotilla-headers", amqp_cstring_bytes("left out: too long"));
}

static void start_like(struct broker *broker, const struct broker_out *out, bool few,
		       amqp_basic_properties_t *properties)
{
	const amqp_basic_properties_t *like = out->like;
	int had = like && like->_flags & AMQP_BASIC_HEADERS_FLAG ? like->headers.num_entries : 0;
	size_t most = (size_t)had + out->header_count + 3;

	memset(properties, 0, sizeof *properties);
	if (like)
		*properties = *like;
	if (most > broker->entry_cap) {
		broker->entries = xrealloc(broker->entries, most * sizeof *broker->entries);
		broker->entry_cap = most;
	}
	properties->headers = (amqp_table_t){.entries = broker->entries};
	if (had && few) {
		copy_few(&properties->headers, &like->headers);
	} else if (had) {
		memcpy(broker->entries, like->headers.entries, (size_t)had * sizeof *broker->entries);
		properties->headers.num_entries = had;
	}
	if (like)
		disarm(broker, properties, out->user);
}

static void set_properties(const struct broker_out *out, amqp_basic_properties_t *properties)
{
	set_property(properties, AMQP_BASIC_CONTENT_TYPE_FLAG, &properties->content_type, out->content_type);
	set_property(properties, AMQP_BASIC_MESSAGE_ID_FLAG, &properties->message_id, out->message_id);
	set_property(properties, AMQP_BASIC_TYPE_FLAG, &properties->type, out->type);
	if (!out->like)
		set_property(properties, AMQP_BASIC_USER_ID_FLAG, &properties->user_id, out->user);
	if (out->correlation_id) {
		properties->_flags |= AMQP_BASIC_CORRELATION_ID_FLAG;
		properties->correlation_id =
			(amqp_bytes_t){.len = out->correlation_len, .bytes = (void *)out->correlation_id};
	}
	for (size_t i = 0; i < out->header_count; i++) {
		const struct broker_header *h = &out->headers[i];
		if (h->text) {
			set_text(&properties->headers, h->key, amqp_cstring_bytes(h->text));
		} else {
			amqp_table_entry_t *entry = header(&properties->headers, h->key);
			entry->value.kind = AMQP_FIELD_KIND_I64;
			entry->value.value.i64 = h->number;
		}
	}
	if (properties->headers.num_entries)
		properties->_flags |= AMQP_BASIC_HEADERS_FLAG;
	properties->_flags |= AMQP_BASIC_DELIVERY_MODE_FLAG;
	properties->delivery_mode = 2;
}

/* The wire has one byte for the length of these. */
static bool fits(const struct broker_out *out)
{
	const char *const texts[] = {out->exchange, out->routing_key, out->content_type, out->message_id, out->type};
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		if (texts[i] && strlen(texts[i]) > SHORT_MAX)
			return false;
	for (size_t i = 0; i < out->header_count; i++)
		if (strlen(out->headers[i].key) > SHORT_MAX)
			return false;
	return !out->correlation_id || out->correlation_len <= SHORT_MAX;
}

int broker_publish(struct broker *broker, uint16_t channel, const struct broker_out *out, struct err *err)
{
	amqp_basic_properties_t properties;
	amqp_basic_publish_t method = {
		.exchange = text_bytes(out->exchange), .routing_key = text_bytes(out->routing_key), .mandatory = 1};
	int r;

	if (!fits(out))
		return err_set(err, ERR_INPUT, "a name or an id of more than %d bytes cannot be published", SHORT_MAX);
	start_like(broker, out, false, &properties);
	set_properties(out, &properties);
	r = session_publish(broker, channel, &method, &properties, out->body, out->body_len, err);
	if (r != ERR_INPUT || !out->like)
		return r;
	start_like(broker, out, true, &properties);
	set_properties(out, &properties);
	return session_publish(broker, channel, &method, &properties, out->body, out->body_len, err);
}

/* The properties first, so that a pointer to a copy is a pointer to properties; what they point to is in the pool. */
struct copy {
	amqp_basic_properties_t properties;
	amqp_pool_t pool;
};

void *broker_properties_copy(const void *properties)
{
	struct copy *copy;
	struct buf wire = BUF_INIT;
	amqp_bytes_t bytes;
	void *decoded = NULL;

	if (!properties)
		return NULL;
	copy = xcalloc(1, sizeof *copy);
	init_amqp_pool(&copy->pool, 1024);
	if (frame_properties(&wire, properties) == 0) {
		amqp_pool_alloc_bytes(&copy->pool, wire.len, &bytes);
		if (bytes.bytes) {
			memcpy(bytes.bytes, wire.data, wire.len);
			if (amqp_decode_properties(AMQP_BASIC_CLASS, &copy->pool, bytes, &decoded) == 0)
				memcpy(&copy->properties, decoded, sizeof copy->properties);
		}
	}
	buf_release(&wire);
	return copy;
}

void *broker_properties_free(void *properties)
{
	struct copy *copy = properties;
	if (copy) {
		empty_amqp_pool(&copy->pool);
		free(copy);
	}
	return NULL;
}
