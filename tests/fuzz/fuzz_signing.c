/* Keys' files and signed messages. The first byte chooses. A file gets words on one line, or keys that sign and verify;
 * a message is taken with its signature, and with no other, whatever its properties and headers are. */
#include "fuzz.h"

#include "job/signature.h"

#define KEYS "k 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n"

static void fuzz_keys(const char *data, size_t size)
{
	static const struct signature_of of = {.prefix = "p", .pool = "q", .priority = "r", .body = "b", .body_len = 1};
	struct keyring *keyring = NULL;
	char mac[SIGNATURE_TEXT];
	struct err err;

	if (keyring_parse(data, size, "keys", &keyring, &err) < 0) {
		must_be_words(&err);
		must(err.code == ERR_INPUT && !keyring);
		return;
	}
	must(keyring_count(keyring) > 0 && keyring_count(keyring) <= KEYRING_KEYS);
	must(signature_make(keyring, &of, mac, &err) == 0);
	must(signature_verify(keyring, &of, keyring_id(keyring_first(keyring)), mac, &err) == 0);
	keyring_free(keyring);
}

/* Texts that end with a NUL, cut off the front; NULL where there is none left. */
static const char *cut(const char **at, const char *end)
{
	const char *text = *at, *nul = memchr(text, '\0', (size_t)(end - text));

	if (!nul)
		return NULL;
	*at = nul + 1;
	return text;
}

static void fuzz_message(const char *data, size_t size)
{
	const char *at = data, *end = data + size;
	struct signature_of of = {.prefix = "p", .pool = "q", .priority = "r"};
	const char *key_id = cut(&at, end), *given = cut(&at, end);
	struct keyring *keyring = NULL;
	char mac[SIGNATURE_TEXT];
	struct err err;

	of.message_id = cut(&at, end);
	of.reply_to = cut(&at, end);
	of.correlation_id = cut(&at, end);
	of.correlation_len = of.correlation_id ? strlen(of.correlation_id) : 0;
	of.body = at;
	of.body_len = (size_t)(end - at);
	must(keyring_parse(KEYS, strlen(KEYS), "keys", &keyring, &err) == 0);
	if (signature_verify(keyring, &of, key_id, given, &err) < 0)
		must_be_words(&err);
	if (signature_make(keyring, &of, mac, &err) < 0) {
		must_be_words(&err);
	} else {
		must(signature_verify(keyring, &of, "k", mac, &err) == 0);
		of.body_len = of.body_len ? of.body_len - 1 : 0;
		of.pool = "other";
		must(signature_verify(keyring, &of, "k", mac, &err) == ERR_INPUT);
	}
	keyring_free(keyring);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	if (data[0] & 1)
		fuzz_keys((const char *)data + 1, size - 1);
	else
		fuzz_message((const char *)data + 1, size - 1);
	return 0;
}
