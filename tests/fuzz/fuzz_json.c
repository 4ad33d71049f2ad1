/* JSON to MessagePack and back: never a crash; what is taken is sound MessagePack, and its JSON is a fixed point. */
#include "fuzz.h"
#include "job/json.h"

static void write_json(const struct buf *packed, struct buf *ret)
{
	msgpack_unpacked unpacked;
	struct err err;

	msgpack_unpacked_init(&unpacked);
	must(msgpack_unpack_next(&unpacked, packed->data, packed->len, NULL) == MSGPACK_UNPACK_SUCCESS);
	must(msgpack_to_json(&unpacked.data, ret, &err) == 0);
	must(utf8_valid(ret->data, ret->len));
	msgpack_unpacked_destroy(&unpacked);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf packed = BUF_INIT, text = BUF_INIT, again = BUF_INIT, text_again = BUF_INIT;
	struct err err;

	if (json_to_msgpack((const char *)data, size, JOB_MAX_DEPTH, &packed, &err) == 0) {
		must(msgpack_check(packed.data, packed.len, &err) == 0);
		write_json(&packed, &text);
		must(json_to_msgpack(text.data, text.len, JOB_MAX_DEPTH, &again, &err) == 0);
		must(again.len == packed.len && memcmp(again.data, packed.data, packed.len) == 0);
		write_json(&again, &text_again);
		must(text_again.len == text.len && memcmp(text_again.data, text.data, text.len) == 0);
	} else {
		must_be_words(&err);
	}
	buf_release(&packed);
	buf_release(&text);
	buf_release(&again);
	buf_release(&text_again);
	return 0;
}
