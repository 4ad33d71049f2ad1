/* What a service manager hears of a process, by the protocol of sd_notify(3): datagrams of NAME=VALUE lines to the
 * socket that it named in the environment. Where it named none, nobody listens and all of this does nothing. */
#ifndef FLOTILLA_CONSUMER_NOTIFY_H
#define FLOTILLA_CONSUMER_NOTIFY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

struct notify {
	int fd; /* -1: nobody listens */
	struct sockaddr_un to;
	socklen_t to_size;
	int64_t watchdog_ms; /* a WATCHDOG=1 is awaited at least so often; 0: none is */
};

/* Takes NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID out of the environment, so that no child speaks in this process'
 * name: before there are threads. A path or an abstract socket (a name that begins with @). */
void notify_open(struct notify *ret);
void notify_close(struct notify *notify);

/* Sends NAME=VALUE lines; never waits. False where nobody listens or it could not be sent now. */
bool notify_send(const struct notify *notify, const char *lines);

#endif
