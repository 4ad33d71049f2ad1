#include "exec/runner_child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "exec/runner_frames.h"

#define CHUNK (16 * 1024)

/* One socket is the child's stdin and stdout (a write to one whose reader has gone raises no signal with MSG_NOSIGNAL);
 * a pipe its stderr. Outlives the child until the loop has closed both handles. */
struct link {
	struct runner *runner;
	struct executor *executor;
	uv_poll_t wire, words;
	int wire_fd, words_fd;
	int open;   /* handles */
	int events; /* what the wire is polled for */
	struct frames frames;
	struct buf out;
};

static void update_wire(struct link *link);

static void on_link_closed(uv_handle_t *handle)
{
	struct link *link = handle->data;
	struct executor *executor = link->executor;

	if (--link->open == 0) {
		close(link->wire_fd);
		close(link->words_fd);
		frames_release(&link->frames);
		buf_release(&link->out);
		free(link);
	}
	executor_handle_closed(executor);
}

void runner_unlink(struct runner *runner)
{
	struct link *link = runner->link;

	if (!link)
		return;
	runner->link = NULL;
	link->runner = NULL;
	uv_close((uv_handle_t *)&link->wire, on_link_closed);
	uv_close((uv_handle_t *)&link->words, on_link_closed);
}

static void stop_wire(struct link *link)
{
	uv_poll_stop(&link->wire);
	link->events = 0;
}

void runner_condemn(struct runner *runner, const char *complaint)
{
	if (runner->complaint)
		return;
	runner->complaint = xstrdup(complaint);
	child_signal(&runner->child, SIGKILL);
	if (runner->link)
		stop_wire(runner->link);
}

static void take_frames(struct runner *runner)
{
	struct link *link = runner->link;

	while (runner->link == link && !runner->complaint) {
		const char *bytes;
		size_t len;
		struct err err;
		struct message message;
		int r = frames_next(&link->frames, &bytes, &len, &err);

		if (r == 0)
			return;
		if (r > 0)
			r = message_decode(bytes, len, &message, &err);
		if (r < 0) {
			runner_condemn(runner, err.text);
			return;
		}
		runner_message(runner, &message);
		message_release(&message);
	}
}

/* Up to CHUNK bytes; false when there is nothing more now, or ever. */
static bool read_some(int fd, char *chunk, size_t *len)
{
	ssize_t got;
	errno = 0;
	do
		got = read(fd, chunk, CHUNK);
	while (got < 0 && errno == EINTR);
	*len = got > 0 ? (size_t)got : 0;
	return got > 0;
}

/* A few rounds, so that a child that never stops writing does not keep the loop. */
#define ROUNDS 64

void runner_drain(struct runner *runner)
{
	char chunk[CHUNK];
	size_t len;

	for (int i = 0; i < ROUNDS && runner->link && read_some(runner->link->words_fd, chunk, &len); i++)
		runner_output(runner, chunk, len);
}

/* A chunk that is not full was all there is: what comes later is told by the loop. Only the end has to be read. */
static void read_wire(struct runner *runner, bool to_the_end)
{
	char chunk[CHUNK];
	struct link *link = runner->link;
	size_t len = CHUNK;

	for (int i = 0;
	     (to_the_end || len == CHUNK) && i < 2 * ROUNDS && runner->link == link && link && !runner->complaint;
	     i++) {
		if (!read_some(link->wire_fd, chunk, &len)) {
			runner->unread |= errno == ECONNRESET;
			return;
		}
		frames_add(&link->frames, chunk, len);
		take_frames(runner);
	}
}

void runner_read(struct runner *runner)
{
	runner_drain(runner);
	read_wire(runner, true);
}

static void on_words(uv_poll_t *handle, int status, int events)
{
	struct link *link = handle->data;
	char probe;

	(void)events;
	if (!link->runner)
		return;
	runner_drain(link->runner);
	/* Closed by the child, which may live on: without this the loop would spin on the end of file. */
	if (link->runner && (status < 0 || (read(link->words_fd, &probe, 0) == 0 && (events & UV_DISCONNECT))))
		uv_poll_stop(&link->words);
}

static void write_wire(struct link *link)
{
	while (link->out.len > 0) {
		ssize_t put = send(link->wire_fd, link->out.data, link->out.len, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0) {
			/* Anything but a full socket is a child that goes; its end is told otherwise. To one that has
			 * gone already nothing is sent, so no later read tells that it left something unread. */
			if (errno != EAGAIN) {
				link->out.len = 0;
				link->runner->unread = true;
			}
			return;
		}
		memmove(link->out.data, link->out.data + put, link->out.len - (size_t)put);
		link->out.len -= (size_t)put;
	}
}

static void on_wire(uv_poll_t *handle, int status, int events)
{
	struct link *link = handle->data;
	struct runner *runner = link->runner;
	bool gone = status < 0 || (events & UV_DISCONNECT);

	if (!runner)
		return;
	if (events & UV_WRITABLE)
		write_wire(link);
	if (events & UV_READABLE || gone)
		read_wire(runner, gone); /* what it wrote beside is read with its results */
	if (runner->link != link || runner->complaint)
		return;
	if (!gone) {
		update_wire(link);
		return;
	}
	/* Most likely it is just ending, and that will be told with its status; if not, see runner.c's tick. One that
	 * has no job can get none any more: it may as well be helped. */
	runner->hung_up_at = clock_mono_ms();
	stop_wire(link);
	if (!runner->current)
		child_signal(&runner->child, SIGKILL);
}

static void update_wire(struct link *link)
{
	int events = UV_READABLE | UV_DISCONNECT | (link->out.len > 0 ? UV_WRITABLE : 0);
	if (events != link->events)
		uv_poll_start(&link->wire, events, on_wire);
	link->events = events;
}

void runner_send(struct runner *runner, struct buf *out)
{
	struct link *link = runner->link;

	if (link && !runner->complaint && !runner->hung_up_at) {
		buf_add(&link->out, out->data, out->len);
		write_wire(link);
		update_wire(link);
	}
	buf_reset(out);
}

static struct link *link_new(struct runner *runner, struct executor *executor, int wire, int words)
{
	struct link *link = xcalloc(1, sizeof *link);

	link->runner = runner;
	link->executor = executor;
	link->wire_fd = wire;
	link->words_fd = words;
	uv_poll_init(executor->loop, &link->wire, wire);
	uv_poll_init(executor->loop, &link->words, words);
	link->wire.data = link->words.data = link;
	link->open = 2;
	executor->open_handles += 2;
	return link;
}

/* 0 and 1 the worker's end and the child's of the wire, 2 and 3 of stderr. */
static int make_pipes(int fds[4], struct err *err)
{
	for (int i = 0; i < 4; i++)
		fds[i] = -1;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0 || pipe2(fds + 2, O_CLOEXEC) < 0 ||
	    fcntl(fds[2], F_SETFL, O_NONBLOCK) < 0 || fcntl(fds[0], F_SETFL, O_NONBLOCK) < 0) {
		err_set(err, ERR_SYSTEM, "no pipes to a runner: %s", strerror(errno));
		for (int i = 0; i < 4; i++)
			closep(&fds[i]);
		return ERR_SYSTEM;
	}
	return 0;
}

static int spawn(struct runner *runner, const struct handler *handler, struct executor *executor, int wire, int words,
		 struct err *err)
{
	CLEANUP(freep) char *path = NULL;
	CLEANUP(closep) int dir = open(handler->base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CLEANUP(freep) char **env = environ_for(executor, handler, NULL, NULL);
	struct spawn spawn = {.argv = handler->argv,
			      .env = env,
			      .dir_fd = dir,
			      .dir = handler->base,
			      .confinement = handler->confinement,
			      .in = wire,
			      .out = wire,
			      .err = words};
	int r = program_find(handler->argv[0], handler->base, env, &path, err);

	spawn.path = path;
	runner->child.ended = runner_ended;
	if (r == 0)
		r = child_spawn(&executor->children, &runner->child, &spawn, err);
	return r;
}

int runner_start(struct runner *runner, struct executor *executor, const struct handler *handler, struct err *err)
{
	struct buf out = BUF_INIT;
	int fds[4];
	int r = make_pipes(fds, err);

	if (r < 0)
		return r;
	r = spawn(runner, handler, executor, fds[1], fds[3], err);
	close(fds[1]);
	close(fds[3]);
	if (r < 0) {
		close(fds[0]);
		close(fds[2]);
		return r;
	}
	free(runner->complaint);
	runner->complaint = NULL;
	runner->greeted = runner->expected = runner->proven = runner->unread = false;
	runner->hung_up_at = 0;
	runner->link = link_new(runner, executor, fds[0], fds[2]);
	uv_poll_start(&runner->link->words, UV_READABLE | UV_DISCONNECT, on_words);
	runner_write_hello(&out, handler);
	runner_send(runner, &out);
	buf_release(&out);
	return 0;
}
