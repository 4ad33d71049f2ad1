/* The thread between a program's plain bytes and a TLS connection. One SSL, used by this thread alone; both descriptors
 * never block; what one side does not take makes it stop reading the other, so that a slow server is felt by the
 * program as on a plain connection. */
#include "base/tls.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/tls_internal.h"

enum {
	HANDSHAKE_MS = 10000, /* whoever starts it has a limit of its own, which is lower */
	SILENT_MS = 2000,     /* without a byte from the server: it is asked in plain */
	FLUSH_MS = 100,       /* at the end, for what the connection does not take at once */
	CHUNK = 16384,        /* the most that a TLS record holds */
};

struct chunk {
	char bytes[CHUNK];
	size_t at, len;
};

struct tls {
	/* Set before the thread begins, then only read. */
	char *host;
	const char *probe;
	int wire, inner;
	pthread_t thread;

	pthread_mutex_t lock;
	pthread_cond_t changed;
	/* Under the lock. */
	bool shaken, ended;
	struct err why; /* code 0: nothing went wrong */

	/* The thread's. */
	struct tls_story story;
	SSL *ssl;
	struct chunk up, down;  /* to the server, to the program */
	short reading, writing; /* what SSL_read, SSL_write wait for; 0: nothing */
	bool up_broken, inner_ended;
	bool leaving; /* the program has let go; at this time the thread does too: */
	int64_t leave_at;
};

/* --- waiting --- */

/* What poll said of the inner descriptor. */
static short wait_both(struct tls *tls, short wire, short inner, int ms)
{
	struct pollfd fds[2] = {{.fd = wire ? tls->wire : -1, .events = wire}, {.fd = tls->inner, .events = inner}};

	poll(fds, 2, ms);
	return fds[1].revents;
}

/* Whether the program has let go, during the handshake; what it wrote meanwhile waits. */
static bool gone(short revents) { return revents & (POLLHUP | POLLERR | POLLRDHUP); }

/* The events that an SSL call which did nothing waits for; 0: it failed. */
static short wanted(int error)
{
	return (short)(error == SSL_ERROR_WANT_READ ? POLLIN : error == SSL_ERROR_WANT_WRITE ? POLLOUT : 0);
}

/* --- the handshake --- */

static int say_silence(struct tls *tls, struct err *err)
{
	if (tls->probe && tls_answers_in_plain(tls->wire, tls->inner, tls->probe))
		return err_set(err, ERR_REFUSED, "TLS: the server does not speak TLS on this port");
	return err_set(err, ERR_SERVICE, "TLS: no answer to the handshake; does the server speak TLS on this port?");
}

/* 0; ERR_AGAIN where the program let go; else the reason. */
static int shake(struct tls *tls, struct err *err)
{
	int64_t begun = clock_mono_ms();

	for (;;) {
		bool silent = BIO_number_read(SSL_get_rbio(tls->ssl)) == 0;
		int64_t until = begun + (silent ? SILENT_MS : HANDSHAKE_MS);
		short events;
		int r, error;

		ERR_clear_error();
		r = SSL_connect(tls->ssl);
		if (r == 1)
			return 0;
		error = SSL_get_error(tls->ssl, r);
		events = wanted(error);
		if (!events)
			return tls_say_failure(&tls->story, error, err);
		if (clock_left_ms(until) == 0)
			return say_silence(tls, err);
		if (gone(wait_both(tls, events, POLLRDHUP, clock_left_ms(until))))
			return ERR_AGAIN;
	}
}

/* --- carrying; each of these says whether something moved --- */

static bool read_wire(struct tls *tls, struct err *err)
{
	int n, error;

	if (tls->down.len)
		return false;
	ERR_clear_error();
	n = SSL_read(tls->ssl, tls->down.bytes, CHUNK);
	if (n > 0) {
		tls->story.heard = true;
		tls->down.len = (size_t)n;
		tls->down.at = 0;
		return true;
	}
	error = SSL_get_error(tls->ssl, n);
	tls->reading = wanted(error);
	if (!tls->reading)
		tls_say_failure(&tls->story, error, err);
	return false;
}

static bool write_inner(struct tls *tls)
{
	struct chunk *down = &tls->down;
	ssize_t n;

	if (!down->len)
		return false;
	n = send(tls->inner, down->bytes + down->at, down->len, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (n < 0 && errno != EAGAIN && errno != EINTR) { /* nobody will read it any more */
		down->len = 0;
		return true;
	}
	if (n <= 0)
		return false;
	down->at += (size_t)n;
	down->len -= (size_t)n;
	return true;
}

static void leave(struct tls *tls)
{
	if (tls->leaving)
		return;
	tls->leaving = true;
	tls->leave_at = clock_mono_ms() + FLUSH_MS;
}

static bool read_inner(struct tls *tls)
{
	ssize_t n;

	if (tls->up.len || tls->inner_ended)
		return false;
	n = recv(tls->inner, tls->up.bytes, CHUNK, MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (n <= 0) {
		tls->inner_ended = true;
		leave(tls);
		return true;
	}
	tls->up.at = 0;
	tls->up.len = tls->up_broken ? 0 : (size_t)n;
	return true;
}

/* Where it fails, why is for read_wire to say: the server may have told before it went. */
static bool write_wire(struct tls *tls)
{
	struct chunk *up = &tls->up;
	int n;

	if (!up->len)
		return false;
	ERR_clear_error();
	n = SSL_write(tls->ssl, up->bytes + up->at, (int)up->len);
	if (n > 0) {
		up->at += (size_t)n;
		up->len -= (size_t)n;
		tls->writing = 0;
		return true;
	}
	tls->writing = wanted(SSL_get_error(tls->ssl, n));
	if (tls->writing)
		return false;
	tls->up_broken = true;
	up->len = 0;
	return true;
}

static void wait_to_carry(struct tls *tls)
{
	short wire = (short)((tls->down.len ? 0 : tls->reading) | (tls->up.len ? tls->writing : 0));
	short inner = (short)(POLLRDHUP | (tls->down.len ? POLLOUT : 0) | (tls->up.len ? 0 : POLLIN));

	if (tls->leaving) {
		struct pollfd fd = {.fd = tls->wire, .events = wire};
		poll(&fd, 1, clock_left_ms(tls->leave_at));
	} else if (gone(wait_both(tls, wire, inner, -1))) {
		leave(tls);
	}
}

/* Until one side ends. 0: the program's. */
static int carry(struct tls *tls, struct err *err)
{
	err->code = 0;
	for (;;) {
		bool moved = read_wire(tls, err);

		if (err->code)
			return err->code;
		moved |= write_inner(tls);
		moved |= read_inner(tls);
		moved |= write_wire(tls);
		if (tls->leaving && ((tls->inner_ended && !tls->up.len) || clock_left_ms(tls->leave_at) == 0))
			return 0;
		if (!moved)
			wait_to_carry(tls);
	}
}

/* --- the thread --- */

static void tell(struct tls *tls, bool shaken, bool ended, const struct err *why)
{
	pthread_mutex_lock(&tls->lock);
	tls->shaken = shaken;
	tls->ended = ended;
	if (why && why->code)
		tls->why = *why;
	pthread_cond_broadcast(&tls->changed);
	pthread_mutex_unlock(&tls->lock);
}

static int begin(struct tls *tls, SSL_CTX *context, struct err *err)
{
	tls->ssl = tls_session(context, &tls->story);
	if (!tls->ssl || !SSL_set_fd(tls->ssl, tls->wire))
		return err_set(err, ERR_REFUSED, "TLS: the host \"%s\" cannot be looked for in a certificate",
			       tls->story.host);
	return shake(tls, err);
}

static void *run(void *data)
{
	struct tls *tls = data;
	struct err err = {0};
	SSL_CTX *context = tls_context(tls->story.files, &err);
	/* they could be used when it was started (tls_check): somebody is replacing them */
	int r = context ? begin(tls, context, &err) : (err.code = ERR_SERVICE);

	if (r == 0) {
		tls->story.shaken = true;
		tell(tls, true, false, NULL);
		r = carry(tls, &err);
		SSL_shutdown(tls->ssl);
	}
	tell(tls, tls->story.shaken, true, r == ERR_AGAIN ? NULL : &err);
	shutdown(tls->inner, SHUT_RDWR);
	SSL_free(tls->ssl);
	SSL_CTX_free(context);
	ERR_clear_error();
	return NULL;
}

/* No signal is the thread's: not those of the program, nor that of a connection that is gone. */
static int start_thread(struct tls *tls)
{
	sigset_t all, before;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_create(&tls->thread, NULL, run, tls);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return r;
}

static void free_tls(struct tls *tls)
{
	pthread_mutex_destroy(&tls->lock);
	pthread_cond_destroy(&tls->changed);
	close(tls->inner);
	close(tls->wire);
	free(tls->host);
	free(tls);
}

int tls_start(const struct tls_files *files, int wire, const char *host, const char *probe, struct tls **ret,
	      int *ret_fd, struct err *err)
{
	struct tls *tls;
	int ends[2], r;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) < 0) {
		r = errno;
		close(wire);
		return err_set(err, ERR_SYSTEM, "TLS: no pair of sockets: %s", strerror(r));
	}
	fcntl(wire, F_SETFL, fcntl(wire, F_GETFL) | O_NONBLOCK);
	tls = xcalloc(1, sizeof *tls);
	tls->host = xstrdup(host);
	tls->story = (struct tls_story){.files = files, .host = tls->host};
	tls->probe = probe;
	tls->wire = wire;
	tls->inner = ends[1];
	pthread_mutex_init(&tls->lock, NULL);
	pthread_cond_init(&tls->changed, NULL);
	r = start_thread(tls);
	if (r) {
		close(ends[0]);
		free_tls(tls);
		return err_set(err, ERR_SYSTEM, "TLS: no thread: %s", strerror(r));
	}
	*ret = tls;
	*ret_fd = ends[0];
	return 0;
}

int tls_wait(struct tls *tls, int timeout_ms, struct err *err)
{
	struct timespec until;
	int r = 0, code = 0;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += timeout_ms / 1000;
	until.tv_nsec += timeout_ms % 1000 * 1000000L;
	if (until.tv_nsec >= 1000000000L) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000L;
	}
	pthread_mutex_lock(&tls->lock);
	while (!tls->shaken && !tls->ended && r == 0)
		r = pthread_cond_timedwait(&tls->changed, &tls->lock, &until);
	if (!tls->shaken && tls->ended) {
		*err = tls->why;
		code = tls->why.code;
	} else if (!tls->shaken) {
		code = err_set(err, ERR_SERVICE, "TLS: the handshake takes too long");
	}
	pthread_mutex_unlock(&tls->lock);
	return code;
}

int tls_why(struct tls *tls, struct err *err)
{
	int code;

	pthread_mutex_lock(&tls->lock);
	code = tls->why.code;
	if (code)
		*err = tls->why;
	pthread_mutex_unlock(&tls->lock);
	return code;
}

int tls_wire(const struct tls *tls) { return tls->wire; }

struct tls *tls_close(struct tls *tls)
{
	if (!tls)
		return NULL;
	shutdown(tls->inner, SHUT_RD);
	pthread_join(tls->thread, NULL);
	free_tls(tls);
	return NULL;
}
