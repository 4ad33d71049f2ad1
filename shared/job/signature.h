/* Signed jobs (docs/signing.md): an HMAC-SHA256 over where a message was published, the properties that matter, and its
 * body; the key's id in the header x-flotilla-key, the MAC as hex in x-flotilla-signature. Pure but for the keyring. */
#ifndef FLOTILLA_JOB_SIGNATURE_H
#define FLOTILLA_JOB_SIGNATURE_H

#include "base/err.h"
#include "base/keyring.h"

#define SIGNATURE_KEY "x-flotilla-key"
#define SIGNATURE_MAC "x-flotilla-signature"
#define SIGNATURE_TEXT (2 * KEYRING_MAC + 1)

/* What is signed. What a message has not is NULL, which is the same as empty. */
struct signature_of {
	const char *prefix, *pool, *priority; /* the exchange and the routing key, or the parts of the queue's name */
	const char *message_id, *reply_to, *correlation_id;
	size_t correlation_len;
	const void *body;
	size_t body_len;
};

/* Signs with the keyring's first key, whose id is keyring_id(keyring_first()). ERR_INPUT where a property holds a line
 * feed. */
int signature_make(struct keyring *keyring, const struct signature_of *of, char ret[SIGNATURE_TEXT], struct err *err);

/* Verifies what the two headers say (NULL: not there), in constant time. ERR_INPUT with words for x-flotilla-reason. */
int signature_verify(struct keyring *keyring, const struct signature_of *of, const char *key_id, const char *mac,
		     struct err *err);

#endif
