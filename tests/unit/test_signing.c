#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/hex.h"
#include "job/signature.h"
#include "scratch.h"

#define HEX32 "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"

static struct keyring *ring_of(const char *text)
{
	struct keyring *keyring = NULL;
	struct err err;

	cr_assert(keyring_parse(text, strlen(text), "keys", &keyring, &err) == 0, "%s", err.text);
	return keyring;
}

static void add_hex(struct buf *text, const void *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		buf_addf(text, "%02X", ((const unsigned char *)bytes)[i]);
}

/* RFC 4231, section 4. An HMAC takes a key that is shorter than 64 bytes as one with zeros behind it. */
struct vector {
	const char *key, *data, *mac;
	size_t key_len, data_len, mac_len;
};

#define A25 "\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa"
#define A131 A25 A25 A25 A25 A25 "\xaa\xaa\xaa\xaa\xaa\xaa"
#define D50                                                                                                            \
	"\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd"         \
	"\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd"
#define C50                                                                                                            \
	"\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd"         \
	"\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd"

static const struct vector vectors[] = {
	{"\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b", "Hi There",
	 "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7", 20, 8, 32},
	{"Jefe", "what do ya want for nothing?", "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843", 4,
	 28, 32},
	{A25, D50, "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe", 20, 50, 32},
	{"\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19", C50,
	 "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b", 25, 50, 32},
	{"\x0c\x0c\x0c\x0c\x0c\x0c\x0c\x0c\x0c\x0c\x0c\x0c\x0c\x0c\x0c\x0c\x0c\x0c\x0c\x0c", "Test With Truncation",
	 "a3b6167473100ee06e0c796c2955552b", 20, 20, 16},
	{A131, "Test Using Larger Than Block-Size Key - Hash Key First",
	 "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54", 131, 54, 32},
	{A131,
	 "This is a test using a larger than block-size key and a larger than block-size data. The key needs to be "
	 "hashed before being used by the HMAC algorithm.",
	 "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2", 131, 152, 32},
};

static void expect_vector(const struct vector *v)
{
	CLEANUP(buf_release) struct buf text = BUF_INIT;
	unsigned char mac[KEYRING_MAC], expected[KEYRING_MAC], padded[256] = {0};
	struct keyring *keyring;
	struct err err;

	memcpy(padded, v->key, v->key_len);
	buf_adds(&text, "k ");
	add_hex(&text, padded, v->key_len < 64 ? 64 : v->key_len);
	keyring = ring_of(text.data);
	cr_assert(hex_decode(v->mac, v->mac_len, expected) == 0);
	for (size_t cut = 0; cut <= v->data_len; cut += 7) { /* the same wherever it is cut, and again and again */
		cr_assert(keyring_mac(keyring_first(keyring), v->data, cut, v->data + cut, v->data_len - cut, mac,
				      &err) == 0);
		cr_expect_arr_eq(mac, expected, v->mac_len, "%s", v->data);
	}
	keyring_free(keyring);
}

Test(signing, vectors_of_rfc_4231)
{
	for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++)
		expect_vector(&vectors[i]);
}

static const struct signature_of whole = {.prefix = "flotilla",
					  .pool = "default",
					  .priority = "normal",
					  .message_id = "m",
					  .reply_to = "r",
					  .correlation_id = "c\0d",
					  .correlation_len = 3,
					  .body = "{\"task\":\"noop\"}",
					  .body_len = 15};

/* By Python: hmac.new(bytes(range(32)), b"flotilla-job-1\nk\n…", "sha256"). */
Test(signing, what_is_signed)
{
	struct keyring *keyring = ring_of("k " HEX32);
	struct signature_of bare = {.prefix = "flotilla", .pool = "default", .priority = "normal", .body = "{}"};
	char mac[SIGNATURE_TEXT];
	struct err err;

	bare.body_len = 2;
	cr_assert(signature_make(keyring, &whole, mac, &err) == 0);
	cr_expect_str_eq(mac, "378ae5e06a7b858a59bf065b37d0c024783fee57898fd702b57d3b87249d2093");
	cr_assert(signature_make(keyring, &bare, mac, &err) == 0);
	cr_expect_str_eq(mac, "7fde7e834f02a3ccca1eca6847d3a9c183813815c90767fce20d3fdb1a316e40");
	bare.message_id = bare.reply_to = bare.correlation_id = ""; /* as if they were not there */
	cr_expect(signature_verify(keyring, &bare, "k", mac, &err) == 0);
	keyring_free(keyring);
}

static void expect_refused(struct keyring *keyring, const struct signature_of *of, const char *mac)
{
	struct err err = {0};

	cr_expect(signature_verify(keyring, of, "k", mac, &err) == ERR_INPUT);
	cr_expect(strstr(err.text, "is not what the key `k` makes"), "%s", err.text);
}

Test(signing, whatever_is_altered_is_refused)
{
	struct keyring *keyring = ring_of("k " HEX32 "\nother " HEX32);
	char mac[SIGNATURE_TEXT], wrong[SIGNATURE_TEXT];
	struct signature_of of = whole;
	struct err err;

	cr_assert(signature_make(keyring, &whole, mac, &err) == 0);
	cr_assert(signature_verify(keyring, &whole, "k", mac, &err) == 0);
	expect_refused(keyring, (of.prefix = "blue", &of), mac), of = whole;
	expect_refused(keyring, (of.pool = "defaul", &of), mac), of = whole;
	expect_refused(keyring, (of.priority = "high", &of), mac), of = whole;
	expect_refused(keyring, (of.message_id = NULL, &of), mac), of = whole;
	expect_refused(keyring, (of.reply_to = "rr", &of), mac), of = whole;
	expect_refused(keyring, (of.correlation_len = 2, &of), mac), of = whole;
	expect_refused(keyring, (of.body_len = 14, &of), mac), of = whole;
	/* what moves from one property to the next */
	of.message_id = "", of.reply_to = "mr";
	expect_refused(keyring, &of, mac);
	for (size_t i = 0; i < SIGNATURE_TEXT - 1; i++) {
		memcpy(wrong, mac, sizeof wrong);
		wrong[i] = mac[i] == '0' ? '1' : '0';
		expect_refused(keyring, &whole, wrong);
	}
	/* the same key by another name */
	cr_expect(signature_verify(keyring, &whole, "other", mac, &err) == ERR_INPUT);
	keyring_free(keyring);
}

Test(signing, words_for_what_is_no_signature)
{
	struct keyring *keyring = ring_of("k " HEX32);
	const struct signature_of feed = {.prefix = "p", .pool = "q", .priority = "r", .reply_to = "a\nb", .body = ""};
	char mac[SIGNATURE_TEXT];
	const struct {
		const char *key, *mac, *words;
	} rows[] = {
		{NULL, NULL, "it is not signed"},
		{"k", NULL, "x-flotilla-signature is missing"},
		{NULL, HEX32, "x-flotilla-key is missing"},
		{"l", HEX32, "`l`: no key"},
		{"", HEX32, "``: no key"},
		{"\x01\xff", HEX32, "`??`: no key"},
		{HEX32, HEX32, "x-flotilla-key: longer than"},
		{"k", "", "64 hex digits"},
		{"k", HEX32 "0", "64 hex digits"},
		{"k", "x00102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f", "64 hex digits"},
		{"k", HEX32, "is not what"},
	};
	struct err err;

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		cr_expect(signature_verify(keyring, &whole, rows[i].key, rows[i].mac, &err) == ERR_INPUT);
		cr_expect(strstr(err.text, rows[i].words), "%s", err.text);
		cr_expect(!strstr(err.text, "0102030405"), "%s", err.text);
	}
	cr_expect(signature_make(keyring, &feed, mac, &err) == ERR_INPUT);
	cr_expect(strstr(err.text, "reply_to: a signed message must not have a line feed"));
	keyring_free(keyring);
}

/* --- the file --- */

static void write_keys(const char *path, const char *text)
{
	CLEANUP(closep) int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	cr_assert(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
}

Test(signing, a_file_that_changes)
{
	char dir[SCRATCH_SIZE], path[SCRATCH_SIZE + 8], other[SCRATCH_SIZE + 8];
	struct keyring *keyring = NULL;
	struct err err;

	scratch_dir(dir, "flotilla-keys");
	snprintf(path, sizeof path, "%s/keys", dir);
	snprintf(other, sizeof other, "%s/new", dir);
	write_keys(path, "# the keys\r\n\n  one\t" HEX32 " \r\ntwo " HEX32 HEX32);
	cr_assert(keyring_open(path, &keyring, &err) == 0, "%s", err.text);
	cr_expect(keyring_count(keyring) == 2 && keyring_refresh(keyring, &err) == 0);
	cr_expect_str_eq(keyring_id(keyring_first(keyring)), "one");
	cr_expect(keyring_find(keyring, "two") && !keyring_find(keyring, "tw") && !keyring_find(keyring, ""));
	write_keys(other, "three " HEX32);
	cr_assert(rename(other, path) == 0);
	cr_expect(keyring_refresh(keyring, &err) == 1 && keyring_refresh(keyring, &err) == 0);
	cr_expect(!keyring_find(keyring, "one") && keyring_find(keyring, "three"));
	write_keys(path, "three");
	cr_expect(keyring_refresh(keyring, &err) == ERR_INPUT && strstr(err.text, ":1: a key is"), "%s", err.text);
	cr_expect(keyring_refresh(keyring, &err) == 0 && keyring_find(keyring, "three"));
	cr_assert(unlink(path) == 0);
	cr_expect(keyring_refresh(keyring, &err) == ERR_INPUT && keyring_refresh(keyring, &err) == 0);
	cr_expect(keyring_find(keyring, "three"));
	write_keys(path, "four " HEX32);
	cr_expect(keyring_refresh(keyring, &err) == 1 && keyring_find(keyring, "four"));
	cr_assert(chmod(path, 0604) == 0);
	cr_expect(keyring_refresh(keyring, &err) == ERR_INPUT && strstr(err.text, "mode 0604"), "%s", err.text);
	keyring_free(keyring);
	unlink(path);
	rmdir(dir);
}
