/* Frames and messages of the runner protocol, the kept end of outputs. */
#include <criterion/criterion.h>
#include <string.h>

#include "exec/frames.h"
#include "exec/output.h"

Test(exec_frames, cut_at_every_byte)
{
	struct buf out = BUF_INIT;
	struct frames frames = {0};
	struct err err;
	const char *bytes;
	size_t len;
	int found = 0;

	frame_write(&out, "first", 5);
	frame_write(&out, "", 0);
	frame_write(&out, "third", 5);
	for (size_t i = 0; i < out.len; i++) {
		frames_add(&frames, out.data + i, 1);
		while (frames_next(&frames, &bytes, &len, &err) == 1)
			cr_assert(len == (found++ == 1 ? 0u : 5u));
	}
	cr_assert(found == 3);
	frames_release(&frames);
	buf_release(&out);
}

Test(exec_frames, too_long)
{
	struct frames frames = {0};
	struct err err;
	const char *bytes;
	size_t len;

	frames_add(&frames, "\0\x20\0\0", 4);
	cr_assert(frames_next(&frames, &bytes, &len, &err) == 0);
	frames_release(&frames);
	frames = (struct frames){0};
	frames_add(&frames, "\0\x20\0\1", 4);
	cr_assert(frames_next(&frames, &bytes, &len, &err) == ERR_INPUT);
	frames_release(&frames);
}

static int decode(const char *bytes, size_t len, struct message *message)
{
	struct err err = {0};
	int r = message_decode(bytes, len, message, &err);
	cr_assert(r == 0 || err.text[0]);
	return r;
}

#define DECODE(text, message) decode(text, sizeof(text) - 1, message)

Test(exec_frames, messages)
{
	struct message m;

	cr_assert(DECODE("\x82\xa4type\xa5hello\xa7version\x01", &m) == 0);
	cr_assert(m.type == MESSAGE_HELLO && m.version == 1);
	message_release(&m);
	cr_assert(DECODE("\x83\xa4type\xa8progress\xa3seq\x07\xa4text\xa2hi", &m) == 0);
	cr_assert(m.type == MESSAGE_PROGRESS && m.seq == 7 && m.len == 2 && memcmp(m.text, "hi", 2) == 0);
	message_release(&m);
	cr_assert(DECODE("\x82\xa4type\xa6result\xa3seq\x07", &m) == 0);
	cr_assert(m.type == MESSAGE_RESULT && !m.result);
	message_release(&m);
	cr_assert(DECODE("\x84\xa4type\xa5"
			 "error\xa3seq\x07\xa7message\xa1x\xac"
			 "bad_argument\xc3",
			 &m) == 0);
	cr_assert(m.type == MESSAGE_ERROR && m.bad_argument);
	message_release(&m);
}

Test(exec_frames, bad_messages)
{
	struct message m;

	cr_assert(DECODE("", &m) == ERR_INPUT);
	cr_assert(DECODE("\xc0", &m) == ERR_INPUT);
	cr_assert(DECODE("\x80", &m) == ERR_INPUT);
	cr_assert(DECODE("\x81\xa4type\xa3"
			 "bye",
			 &m) == ERR_INPUT);
	cr_assert(DECODE("\x81\xa4type\xa5hello", &m) == ERR_INPUT);
	cr_assert(DECODE("\x81\xa4type\xa6result", &m) == ERR_INPUT);
	cr_assert(DECODE("\x82\xa4type\xa6result\xa3seq\xff", &m) == ERR_INPUT);
	cr_assert(DECODE("\x82\xa4type\xa5"
			 "error\xa3seq\x01",
			 &m) == ERR_INPUT);
	cr_assert(DECODE("\x82\xa4type\xa5hello\xa7version\x01\x01", &m) == ERR_INPUT);
}

Test(exec_output, keeps_the_last)
{
	struct output output = {0};
	char chunk[1000];
	size_t len;
	const char *tail;

	for (int i = 0; i < 1000; i++) {
		memset(chunk, 'a' + i % 26, sizeof chunk);
		output_add(&output, chunk, sizeof chunk);
	}
	cr_assert(output.grew);
	tail = output_tail(&output, &len);
	cr_assert(len == OUTPUT_KEPT && !output.grew);
	cr_assert(tail[len - 1] == 'a' + 999 % 26 && tail[len - 1001] == 'a' + 998 % 26);
	output_release(&output);
	output = (struct output){0};
	tail = output_tail(&output, &len);
	cr_assert(len == 0 && tail != NULL);
	output_release(&output);
}
