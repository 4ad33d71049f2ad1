/* What the files of TLS share: tls.c carries the bytes, tls_context.c reads the files, tls_words.c says what is wrong,
 * tls_probe.c asks a silent server.
 */
#ifndef FLOTILLA_BASE_TLS_INTERNAL_H
#define FLOTILLA_BASE_TLS_INTERNAL_H

#include <openssl/ssl.h>

#include "base/tls.h"

/* What is known of a handshake when it fails. */
struct tls_story {
	const struct tls_files *files;
	const char *host;
	bool asked;         /* the server wants a certificate of ours */
	bool shaken, heard; /* the handshake is over; the server has said something since */
	struct err refusal; /* of the server's certificate; code 0: none */
};

/* A context with the files in it. NULL: `err`, ERR_USAGE. The caller frees with SSL_CTX_free. */
SSL_CTX *tls_context(const struct tls_files *files, struct err *err);
/* The client's side of a connection to story->host, which records in `story` what it meets. NULL: out of memory. */
SSL *tls_session(SSL_CTX *context, struct tls_story *story);

/* Says why SSL_connect, SSL_read or SSL_write failed, with `error` of SSL_get_error; returns the code. */
int tls_say_failure(const struct tls_story *story, int error, struct err *err);
/* The same of a certificate of the server's that is not accepted. */
void tls_say_certificate(const struct tls_story *story, X509_STORE_CTX *store, struct err *err);
/* Whether the server at the other end of `wire`, on a connection of its own, answers `probe` in plain. Waits for half a
 * second at most, and for no longer than somebody has the other end of `inner`. */
bool tls_answers_in_plain(int wire, int inner, const char *probe);
/* OpenSSL's oldest error. */
const char *tls_reason(void);

#endif
