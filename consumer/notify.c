#include "notify.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The address of a name as systemd writes it: a path, or @NAME for an abstract one. False where it is neither. */
static bool address_of(const char *name, struct sockaddr_un *to, socklen_t *size)
{
	size_t len = strlen(name);

	if ((name[0] != '/' && name[0] != '@') || len < 2 || len >= sizeof to->sun_path)
		return false;
	*to = (struct sockaddr_un){.sun_family = AF_UNIX};
	memcpy(to->sun_path, name, len);
	if (name[0] == '@')
		to->sun_path[0] = '\0';
	/* an abstract name has no NUL at its end, and what follows it would belong to it */
	*size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + (name[0] == '/'));
	return true;
}

/* It may be meant for another process, whose environment this one has got. */
static int64_t watchdog_ms(void)
{
	const char *usec = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
	long long us = usec ? strtoll(usec, NULL, 10) : 0;

	if (us <= 0 || (pid && strtoll(pid, NULL, 10) != getpid()))
		return 0;
	return us < 1000 ? 1 : us / 1000;
}

void notify_open(struct notify *ret)
{
	const char *name = getenv("NOTIFY_SOCKET");

	*ret = (struct notify){.fd = -1};
	if (name && address_of(name, &ret->to, &ret->to_size))
		ret->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (ret->fd >= 0)
		ret->watchdog_ms = watchdog_ms();
	unsetenv("NOTIFY_SOCKET");
	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
}

void notify_close(struct notify *notify)
{
	if (notify->fd >= 0)
		close(notify->fd);
	notify->fd = -1;
}

bool notify_send(const struct notify *notify, const char *lines)
{
	size_t len = strlen(lines);

	return notify->fd >= 0 && sendto(notify->fd, lines, len, MSG_NOSIGNAL, (const struct sockaddr *)&notify->to,
					 notify->to_size) == (ssize_t)len;
}
