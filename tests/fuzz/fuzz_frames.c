/* Whatever a runner writes: frames are cut and messages decoded without a crash, the same however the bytes are split.
 */

#include "exec/frames.h"
#include "fuzz.h"

static void check_message(const char *bytes, size_t len)
{
	struct message message;
	struct err err = {0};

	if (message_decode(bytes, len, &message, &err) < 0) {
		must(err.code == ERR_INPUT);
		must_be_words(&err);
		return;
	}
	if (message.text)
		must(message.text >= bytes && message.text + message.len <= bytes + len &&
		     utf8_valid(message.text, message.len));
	must(message.seq >= 0 && message.version >= 0);
	message_release(&message);
}

/* Feeds all in pieces of `piece` bytes; what comes of it, as frames in a row. */
static int cut(const char *data, size_t size, size_t piece, struct buf *ret)
{
	struct frames frames = {0};
	int r = 0;

	for (size_t at = 0; at < size && r >= 0; at += piece) {
		const char *bytes;
		size_t len;
		struct err err;

		frames_add(&frames, data + at, size - at < piece ? size - at : piece);
		while ((r = frames_next(&frames, &bytes, &len, &err)) > 0) {
			check_message(bytes, len);
			frame_write(ret, bytes, len);
		}
	}
	frames_release(&frames);
	return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf whole = BUF_INIT, bytewise = BUF_INIT;
	int a = cut((const char *)data, size, size, &whole);
	int b = cut((const char *)data, size, 1, &bytewise);

	must(a == b && whole.len == bytewise.len &&
	     memcmp(whole.data ? whole.data : "", bytewise.data ? bytewise.data : "", whole.len) == 0);
	must(whole.len <= size && (whole.len == 0 || memcmp(whole.data, data, whole.len) == 0));
	buf_release(&whole);
	buf_release(&bytewise);
	return 0;
}
