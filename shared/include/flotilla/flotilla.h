/* libflotilla, for programs that publish jobs with an AMQP client of their own.
 *
 * The library's other parts (sessions with the servers, submission) are still the programs' own; what stands here is
 * kept. Link with `pkg-config --cflags --libs flotilla`.
 */
#ifndef FLOTILLA_H
#define FLOTILLA_H

#include <stddef.h>

#include <flotilla/version.h>

#ifdef __cplusplus
extern "C" {
#endif

#define FLOTILLA_API __attribute__((visibility("default")))

/* The version of the library that is running, as FLOTILLA_VERSION is of the headers. Static text. */
FLOTILLA_API const char *flotilla_version(void);

/* Checks a job before it is published, as a worker will when it comes (docs/protocol.md, "A job on the wire"): `body`
 * is MessagePack or JSON, told apart by `content_type` (NULL: by its first byte). Returns 0 where a worker takes it;
 * else -1, and `error`, of `size` bytes (0: none is wanted), says which field is wrong and how. Pure: no I/O, any
 * thread. */
FLOTILLA_API int flotilla_check_job(const void *body, size_t len, const char *content_type, char *error, size_t size);

#ifdef __cplusplus
}
#endif

#endif
