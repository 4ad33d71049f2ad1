/* A runner that misbehaves as its job's args ask. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "runner/wire.h"

static void write_all(const char *bytes, size_t len)
{
	while (len > 0) {
		ssize_t put = write(STDOUT_FILENO, bytes, len);
		if (put < 0)
			_exit(9);
		bytes += put;
		len -= (size_t)put;
	}
}

static void add_text(struct buf *ret, const char *text)
{
	const unsigned char head[2] = {0xd9, (unsigned char)strlen(text)};
	buf_add(ret, head, 2);
	buf_adds(ret, text);
}

static void big_result(struct wire *wire, int64_t seq)
{
	const unsigned char head[5] = {0xdb, 0, 1, 0x20, 0};
	struct buf result = BUF_INIT;

	buf_add(&result, head, sizeof head);
	while (result.len < 5 + 0x12000)
		buf_adds(&result, "x");
	wire_result(wire, seq, &result);
	buf_release(&result);
}

static void wait_for_cancel(struct wire *wire, int64_t seq)
{
	msgpack_unpacked message;
	if (!wire_read(wire, &message) || wire_int(&message.data, "seq") != seq)
		_exit(8);
	msgpack_unpacked_destroy(&message);
	wire_error(wire, seq, "it was asked to stop", false);
}

static void obey(struct wire *wire, const char *order, int64_t seq)
{
	struct buf result = BUF_INIT;

	if (!strcmp(order, "crash"))
		raise(SIGKILL);
	if (!strcmp(order, "exit"))
		_exit(7);
	if (!strcmp(order, "answer and exit")) {
		add_text(&result, "last words");
		wire_result(wire, seq, &result);
		_exit(7);
	}
	if (!strcmp(order, "print"))
		write_all("Hello, world\n", 13);
	else if (!strcmp(order, "not msgpack"))
		write_all("\0\0\0\2\xc1\xc1", 6);
	else if (!strcmp(order, "another seq"))
		wire_error(wire, seq + 1, "x", false);
	else if (!strcmp(order, "binary"))
		write_all("\0\0\0\6\x81\xa4type\xc4", 11);
	else if (!strcmp(order, "half"))
		write_all("\0\0\1\0ab", 6);
	if (!strcmp(order, "half"))
		_exit(0);
	if (!strcmp(order, "hang up")) {
		close(STDIN_FILENO);
		close(STDOUT_FILENO);
	}
	if (!strcmp(order, "big"))
		big_result(wire, seq);
	else if (!strcmp(order, "until cancelled"))
		wait_for_cancel(wire, seq);
	else if (!strcmp(order, "refuse"))
		wire_error(wire, seq, "wrong input", true);
	else if (!strcmp(order, "talk")) {
		fputs("to stderr\n", stderr);
		wire_progress(wire, seq, "half way");
		wire_result(wire, seq, &result);
	} else if (!strcmp(order, "pid")) {
		buf_add(&result, "\xce", 1);
		buf_add(&result,
			(const char[]){(char)(getpid() >> 24), (char)(getpid() >> 16), (char)(getpid() >> 8),
				       (char)getpid()},
			4);
		wire_result(wire, seq, &result);
	} else {
		/* "hang", and what said its nonsense: lives on until it is killed. */
		for (;;)
			pause();
	}
	buf_release(&result);
}

int main(int argc, char **argv)
{
	struct wire wire = {STDIN_FILENO, STDOUT_FILENO};
	msgpack_unpacked message;

	if (argc > 1 && !strcmp(argv[1], "mute"))
		return 5;
	if (argc > 1 && !strcmp(argv[1], "rude"))
		wire_progress(&wire, 1, "no hello");
	else
		wire_hello(&wire);
	while (wire_read(&wire, &message)) {
		char *type = wire_text(&message.data, "type");
		char *order = wire_text(&message.data, "args");
		int64_t seq = wire_int(&message.data, "seq");

		msgpack_unpacked_destroy(&message);
		if (type && !strcmp(type, "job"))
			obey(&wire, order ? order : "hang", seq);
		free(type);
		free(order);
	}
	return 0;
}
