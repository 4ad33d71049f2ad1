/* The keys by which jobs are signed, from a file: a line each, `ID KEY`, the key as hex; `#` begins a comment. The
 * first one signs, all of them verify, so that one can take another's place while both are valid (docs/signing.md).
 *
 * A keyring is of one thread. Nothing that it says, errors among it, holds a key or what may be one. Files are read
 * with blocking calls. */
#ifndef FLOTILLA_BASE_KEYRING_H
#define FLOTILLA_BASE_KEYRING_H

#include <stddef.h>

#include "base/err.h"

#define KEYRING_KEYS 16   /* at most */
#define KEYRING_ID_MAX 32 /* of A-Za-z0-9._-; shorter than any key, so that no key is taken for an id */
#define KEYRING_MAC 32    /* the bytes of an HMAC-SHA256 */

struct keyring;
struct keyring_key;

/* Reads the file, which only its owner and group may be able to read. ERR_INPUT with "FILE:LINE: ..." */
int keyring_open(const char *file, struct keyring **ret, struct err *err);
/* The same of text in memory, called `name` in errors; it is never read again. */
int keyring_parse(const char *text, size_t len, const char *name, struct keyring **ret, struct err *err);
/* Wipes the keys. NULL is fine. Returns NULL. */
struct keyring *keyring_free(struct keyring *keyring);

/* Reads the file again where it is another than at the last look: one stat() where it is not. 1: the keys are those of
 * the file now; 0: nothing new; ERR_INPUT: it cannot be taken (said once), and the keys are those from before. */
int keyring_refresh(struct keyring *keyring, struct err *err);

/* The key that signs, and any by its id (NULL where there is none). They are the keyring's, until it is read again. */
struct keyring_key *keyring_first(struct keyring *keyring);
struct keyring_key *keyring_find(struct keyring *keyring, const char *id);
const char *keyring_id(const struct keyring_key *key);
size_t keyring_count(const struct keyring *keyring);

/* The HMAC-SHA256 of two pieces, one behind the other. 0, or ERR_SYSTEM where the library refuses. */
int keyring_mac(struct keyring_key *key, const void *head, size_t head_len, const void *body, size_t body_len,
		unsigned char ret[KEYRING_MAC], struct err *err);

#endif
