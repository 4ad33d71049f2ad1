/* Who asked for a reply, as it stands in Redis: any bytes are an entry or none, and an entry is written again the same.
 * What is published of an end is sound in both encodings. */
#include "fuzz.h"

#include "fleet/reply_entry.h"
#include "job/json.h"
#include "job/reply.h"

static void check_entry(const char *entry, size_t size)
{
	const char *reply_to, *correlation, *to_again, *correlation_again;
	struct buf again = BUF_INIT;
	size_t len, len_again;

	if (!reply_entry_decode(entry, size, &reply_to, &correlation, &len))
		return;
	must(correlation >= entry && correlation + len < reply_to && reply_to <= entry + size);
	reply_entry_encode(&again, reply_to, correlation, len);
	must(reply_entry_decode(again.data, again.len, &to_again, &correlation_again, &len_again));
	must(strcmp(reply_to, to_again) == 0 && len == len_again && memcmp(correlation, correlation_again, len) == 0);
	buf_release(&again);
}

/* All texts of a reply are the input's: they come from Redis. */
static void check_reply(const char *text)
{
	struct job_reply reply = {.id = text, .state = "failed", .result = text, .error = text, .reason = text};
	struct buf json = BUF_INIT, packed = BUF_INIT, again = BUF_INIT;
	struct err err;

	job_reply_encode(&reply, JOB_JSON, &json);
	must(utf8_valid(json.data, json.len));
	must(json_to_msgpack(json.data, json.len, JOB_MAX_DEPTH + 1, &again, &err) == 0);
	job_reply_encode(&reply, JOB_MSGPACK, &packed);
	must(msgpack_check(packed.data, packed.len, &err) == 0);
	buf_release(&json);
	buf_release(&packed);
	buf_release(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = xmemdup0(data, size);

	check_entry(text, size);
	if (utf8_valid(text, strlen(text)))
		check_reply(text);
	free(text);
	return 0;
}
