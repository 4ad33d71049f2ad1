/* A server that says nothing to a handshake: a Redis without TLS waits for the end of a line that a TLS client never
 * sends. On another connection it answers. */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/tls_internal.h"

enum { PROBE_MS = 500 };

static int connect_again(int wire)
{
	struct sockaddr_storage peer = {0};
	socklen_t len = sizeof peer;
	int fd;

	if (getpeername(wire, (struct sockaddr *)&peer, &len) < 0)
		return -1;
	fd = socket(peer.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&peer, len) < 0 && errno != EINPROGRESS) {
		close(fd);
		return -1;
	}
	return fd;
}

bool tls_answers_in_plain(int wire, int inner, const char *probe)
{
	int64_t until = clock_mono_ms() + PROBE_MS;
	int fd = connect_again(wire);
	bool answered = false, sent = false;
	char byte;

	while (fd >= 0 && !answered && clock_left_ms(until) > 0) {
		struct pollfd fds[2] = {{.fd = fd, .events = sent ? POLLIN : POLLOUT},
					{.fd = inner, .events = POLLRDHUP}};
		poll(fds, 2, clock_left_ms(until));
		if (fds[1].revents || (fds[0].revents & (POLLERR | POLLNVAL)))
			break;
		if (!sent && fds[0].revents)
			sent = send(fd, probe, strlen(probe), MSG_NOSIGNAL) > 0;
		else if (fds[0].revents && recv(fd, &byte, 1, 0) <= 0)
			break;
		else
			answered = fds[0].revents;
	}
	if (fd >= 0)
		close(fd);
	return answered;
}
