/* TLS for whoever speaks plain text over a descriptor: a library that knows no TLS (hiredis of Debian 12), or whose
 * writing is ours (the frames to RabbitMQ). The connection is handed over, a descriptor comes back whose bytes go
 * through TLS; a thread of its own carries them, so that encrypting holds nobody up.
 *
 *	program ── inner descriptor (a socket pair) ── thread with an SSL ── wire (the TCP connection) ── server
 *
 * What is checked is OpenSSL's business: the chain up to the configured certificates or the system's, that it is of a
 * server and of this time, and that one of the certificate's subject alternative names is the host as the URL spells
 * it, a name or an address; a common name is none. TLS 1.2 at least. Nothing turns that off. Before it is checked not
 * a byte of the program's leaves this machine.
 */
#ifndef FLOTILLA_BASE_TLS_H
#define FLOTILLA_BASE_TLS_H

#include <stdbool.h>

#include "base/err.h"

/* PEM files; NULL or "" is none. */
struct tls_files {
	char *ca;   /* whom to trust; none: whom the system trusts */
	char *cert; /* who we are, with what leads to its CA; none: nobody */
	char *key;  /* of `cert`; none: it is in that file as well */
};

bool tls_has_cert(const struct tls_files *files); /* NULL: it has not */
/* Whether they can be used; reads them. ERR_USAGE names the file. NULL is fine. */
int tls_check(const struct tls_files *files, struct err *err);

struct tls;

/* Begins on a TCP connection, which it takes (also where it fails). Returns at once; `ret_fd` does not block, and is
 * the caller's to close. The files are borrowed until tls_close. `probe` may be NULL: a line in the server's own
 * protocol, which nobody minds; a server without TLS that keeps silent is found out by its answer to that. */
int tls_start(const struct tls_files *files, int wire, const char *host, const char *probe, struct tls **ret,
	      int *ret_fd, struct err *err);
/* Waits until the server is known to be the right one. ERR_SERVICE, ERR_REFUSED as tls_why. */
int tls_wait(struct tls *tls, int timeout_ms, struct err *err);
/* Why it ended, which the program sees as an end of file; 0 while it has not. ERR_SERVICE: the connection was lost;
 * ERR_REFUSED: the server is not whom we look for, does not speak TLS, or will not have us, and `err` says which. */
int tls_why(struct tls *tls, struct err *err);
/* The TCP connection's descriptor, to look at. */
int tls_wire(const struct tls *tls);
/* Sends what the connection takes of what was written, says goodbye and ends, without waiting for the server. Before or
 * after the caller closes its descriptor. NULL is fine; returns NULL. */
struct tls *tls_close(struct tls *tls);

#endif
