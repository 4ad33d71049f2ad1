/* One HTTP exchange after another, over libcurl. The library is loaded when it is needed: to start with it would cost
 * every command five milliseconds. */
#ifndef FLOTILLA_PRODUCER_HTTP_H
#define FLOTILLA_PRODUCER_HTTP_H

#include "base/buf.h"
#include "base/err.h"
#include "base/tls.h"

struct http;

/* `base` is http:// or https://host:port, without a user; the certificate of https is checked, with `files` as for the
 * services (tls.h). All copied.
 * ERR_SYSTEM where there is no libcurl. */
int http_open(const char *base, const char *user, const char *password, const struct tls_files *files,
	      struct http **ret, struct err *err);
/* NULL is fine. */
void http_close(struct http *http);
/* `method` on `path`; `body` (JSON) may be NULL. Fills the answer's status and body. Blocks, for at most 10 s.
 * ERR_SERVICE: no answer. */
int http_do(struct http *http, const char *method, const char *path, const char *body, long *ret_status,
	    struct buf *ret, struct err *err);
/* Appends text as a part of a path. */
void http_add_part(struct buf *path, const char *text);

#endif
