#include "job/signature.h"

#include <openssl/crypto.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/hex.h"
#include "job/quote.h"

/* The first line says what is signed, and how: another way to do it would have another. */
#define VERSION "flotilla-job-1"

/* A property is a line: a line feed in it could stand for the end of it. */
static int add_line(struct buf *text, const char *name, const char *value, size_t len, struct err *err)
{
	if (len && memchr(value, '\n', len))
		return err_set(err, ERR_INPUT, "%s: a signed message must not have a line feed in it", name);
	if (len)
		buf_add(text, value, len);
	buf_add(text, "\n", 1);
	return 0;
}

static size_t length(const char *text) { return text ? strlen(text) : 0; }

/* All that stands before the body. */
static int make_head(struct buf *ret, const char *key_id, const struct signature_of *of, struct err *err)
{
	buf_addf(ret, VERSION "\n%s\n%s\n%s.%s\n", key_id, of->prefix, of->pool, of->priority);
	if (add_line(ret, "message_id", of->message_id, length(of->message_id), err) < 0 ||
	    add_line(ret, "reply_to", of->reply_to, length(of->reply_to), err) < 0)
		return err->code;
	return add_line(ret, "correlation_id", of->correlation_id, of->correlation_id ? of->correlation_len : 0, err);
}

static int make_mac(struct keyring_key *key, const struct signature_of *of, unsigned char ret[KEYRING_MAC],
		    struct err *err)
{
	CLEANUP(buf_release) struct buf head = BUF_INIT;
	int r = make_head(&head, keyring_id(key), of, err);

	return r < 0 ? r : keyring_mac(key, head.data, head.len, of->body, of->body_len, ret, err);
}

int signature_make(struct keyring *keyring, const struct signature_of *of, char ret[SIGNATURE_TEXT], struct err *err)
{
	unsigned char mac[KEYRING_MAC];
	int r = make_mac(keyring_first(keyring), of, mac, err);

	if (r == 0)
		hex_encode(mac, sizeof mac, ret);
	return r;
}

int signature_verify(struct keyring *keyring, const struct signature_of *of, const char *key_id, const char *mac,
		     struct err *err)
{
	unsigned char given[KEYRING_MAC], right[KEYRING_MAC];
	struct keyring_key *key;
	char text[QUOTE_TEXT];
	int r;

	if (!key_id && !mac)
		return err_set(err, ERR_INPUT,
			       "it is not signed: the headers " SIGNATURE_KEY " and " SIGNATURE_MAC
			       " are missing, and this pool takes signed jobs only");
	if (!key_id || !mac)
		return err_set(err, ERR_INPUT, "it is signed by half: the header %s is missing",
			       key_id ? SIGNATURE_MAC : SIGNATURE_KEY);
	key = keyring_find(keyring, key_id);
	if (strlen(key_id) > KEYRING_ID_MAX) /* not shown: it may be a key */
		return err_set(err, ERR_INPUT, SIGNATURE_KEY ": longer than the id of a key can be");
	if (!key)
		return err_set(err, ERR_INPUT, SIGNATURE_KEY " `%s`: no key of this pool is called that",
			       quote_text(text, key_id, strlen(key_id)));
	if (strlen(mac) != 2 * sizeof given || hex_decode(mac, sizeof given, given) < 0)
		return err_set(err, ERR_INPUT, SIGNATURE_MAC ": must be an HMAC-SHA256 as %zu hex digits",
			       2 * sizeof given);
	r = make_mac(key, of, right, err);
	if (r == 0 && CRYPTO_memcmp(given, right, sizeof right) != 0)
		r = err_set(err, ERR_INPUT,
			    SIGNATURE_MAC
			    ": is not what the key `%s` makes of this message: another key, or its body, where it was "
			    "published, message_id, reply_to or correlation_id are not those that were signed",
			    keyring_id(key));
	OPENSSL_cleanse(right, sizeof right);
	return r;
}
