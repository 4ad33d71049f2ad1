/* Keys and their file (keyring.h). OpenSSL makes the MAC, and wipes what is not needed any more. */
#include "base/keyring.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/hex.h"

#define FILE_MAX 65536
#define KEY_MIN 32
#define KEY_MAX 256

struct keyring_key {
	char id[KEYRING_ID_MAX + 1];
	unsigned char bytes[KEY_MAX];
	size_t len;
	int line;
	EVP_MAC_CTX *mac;
};

struct table {
	struct keyring_key keys[KEYRING_KEYS];
	size_t count;
};

struct keyring {
	char *file; /* NULL: of text */
	bool there; /* and what it was, at the last look */
	struct stat seen;
	struct table table;
};

/* --- text --- */

static void wipe(struct table *table)
{
	for (size_t i = 0; i < table->count; i++)
		EVP_MAC_CTX_free(table->keys[i].mac);
	OPENSSL_cleanse(table, sizeof *table);
}

static int make_mac(struct keyring_key *key, struct err *err)
{
	char digest[] = "SHA256";
	const OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
				     OSSL_PARAM_construct_end()};
	EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);

	key->mac = mac ? EVP_MAC_CTX_new(mac) : NULL;
	EVP_MAC_free(mac);
	if (!key->mac || !EVP_MAC_CTX_set_params(key->mac, params))
		return err_set(err, ERR_SYSTEM, "OpenSSL makes no HMAC-SHA256 here");
	return 0;
}

/* Neither word is shown: whoever took one for the other would find the key in a log. */
static int parse_key(const char *id, size_t id_len, const char *hex, size_t hex_len, struct keyring_key *ret,
		     struct err *err)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";

	if (id_len > KEYRING_ID_MAX || strspn(id, letters) < id_len)
		return err_set(err, ERR_INPUT, "an id has 1 to %d characters of A-Za-z0-9._-; a line is `ID KEY`",
			       KEYRING_ID_MAX);
	if (hex_len % 2 || hex_len < 2 * KEY_MIN || hex_len > 2 * KEY_MAX || hex_decode(hex, hex_len / 2, ret->bytes))
		return err_set(err, ERR_INPUT,
			       "a key is %d to %d bytes as hex, behind its id: openssl rand -hex 32 makes one", KEY_MIN,
			       KEY_MAX);
	memcpy(ret->id, id, id_len);
	ret->len = hex_len / 2;
	return 0;
}

static int add_key(struct table *table, const struct keyring_key *key, struct err *err)
{
	for (size_t i = 0; i < table->count; i++)
		if (strcmp(table->keys[i].id, key->id) == 0)
			return err_set(err, ERR_INPUT, "the id is that of line %d", table->keys[i].line);
	if (table->count == KEYRING_KEYS)
		return err_set(err, ERR_INPUT, "more than %d keys", KEYRING_KEYS);
	table->keys[table->count] = *key;
	return make_mac(&table->keys[table->count++], err);
}

/* A line without its end, NUL-terminated. */
static int parse_line(struct table *table, const char *line, int number, struct err *err)
{
	static const char blank[] = " \t\r";
	const char *id = line + strspn(line, blank), *hex, *rest;
	struct keyring_key key = {.line = number};
	size_t id_len;
	int r;

	if (!*id || *id == '#')
		return 0;
	hex = id + strcspn(id, blank);
	id_len = (size_t)(hex - id);
	hex += strspn(hex, blank);
	rest = hex + strcspn(hex, blank);
	if (rest[strspn(rest, blank)])
		return err_set(err, ERR_INPUT, "a line is `ID KEY` and nothing else");
	r = parse_key(id, id_len, hex, (size_t)(rest - hex), &key, err);
	if (r == 0)
		r = add_key(table, &key, err);
	OPENSSL_cleanse(&key, sizeof key);
	return r;
}

/* The text is NUL-terminated, and is cut into lines. */
static int parse_lines(struct table *table, char *text, size_t len, const char *name, struct err *err)
{
	int number = 0;

	if (strlen(text) != len)
		return err_set(err, ERR_INPUT, "%s: holds a NUL", name);
	for (char *line; (line = strsep(&text, "\n"));)
		if (parse_line(table, line, ++number, err) < 0)
			return err_prefix(err, "%s:%d", name, number);
	if (table->count == 0)
		return err_set(err, ERR_INPUT, "%s: holds no key", name);
	return 0;
}

/* --- the file --- */

static int check_file(const char *file, const struct stat *st, struct err *err)
{
	if (!S_ISREG(st->st_mode))
		return err_set(err, ERR_INPUT, "%s: is no plain file", file);
	if (st->st_mode & (S_IRWXO | S_IWGRP))
		return err_set(err, ERR_INPUT,
			       "%s: its mode %04o lets others at the keys: chmod 600 (or 640 for its group)", file,
			       (unsigned)(st->st_mode & 07777));
	if (st->st_size > FILE_MAX)
		return err_set(err, ERR_INPUT, "%s: has more than %d bytes", file, FILE_MAX);
	return 0;
}

static int read_file(struct table *table, const char *file, struct err *err)
{
	CLEANUP(closep) int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	char text[FILE_MAX + 1];
	struct stat st;
	ssize_t n = -1;
	size_t len = 0;
	int r;

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_set(err, ERR_INPUT, "%s: cannot be opened: %s", file, strerror(errno));
	r = check_file(file, &st, err);
	while (r == 0 && len < FILE_MAX && (n = read(fd, text + len, FILE_MAX - len)) > 0)
		len += (size_t)n;
	if (r == 0 && n < 0)
		r = err_set(err, ERR_INPUT, "%s: cannot be read: %s", file, strerror(errno));
	text[len] = '\0';
	if (r == 0)
		r = parse_lines(table, text, len, file, err);
	OPENSSL_cleanse(text, sizeof text);
	return r;
}

static void look(struct keyring *keyring) { keyring->there = stat(keyring->file, &keyring->seen) == 0; }

int keyring_open(const char *file, struct keyring **ret, struct err *err)
{
	struct keyring *keyring = xcalloc(1, sizeof *keyring);
	int r;

	keyring->file = xstrdup(file);
	look(keyring); /* before it is read: what changes meanwhile is another file at the next look */
	r = read_file(&keyring->table, file, err);
	if (r < 0)
		keyring_free(keyring);
	else
		*ret = keyring;
	return r;
}

int keyring_parse(const char *text, size_t len, const char *name, struct keyring **ret, struct err *err)
{
	struct keyring *keyring = xcalloc(1, sizeof *keyring);
	char *copy = xmemdup0(text, len);
	int r = parse_lines(&keyring->table, copy, len, name, err);

	OPENSSL_cleanse(copy, len);
	free(copy);
	if (r < 0)
		keyring_free(keyring);
	else
		*ret = keyring;
	return r;
}

struct keyring *keyring_free(struct keyring *keyring)
{
	if (!keyring)
		return NULL;
	wipe(&keyring->table);
	free(keyring->file);
	free(keyring);
	return NULL;
}

static bool same(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
	       a->st_mode == b->st_mode && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
	       a->st_mtim.tv_nsec == b->st_mtim.tv_nsec && a->st_ctim.tv_sec == b->st_ctim.tv_sec &&
	       a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

int keyring_refresh(struct keyring *keyring, struct err *err)
{
	bool was_there = keyring->there;
	struct stat seen = keyring->seen;
	struct table table = {.count = 0};
	int r;

	if (!keyring->file)
		return 0;
	look(keyring);
	if (keyring->there == was_there && (!was_there || same(&seen, &keyring->seen)))
		return 0;
	r = read_file(&table, keyring->file, err);
	if (r < 0) {
		wipe(&table);
		return r;
	}
	wipe(&keyring->table);
	keyring->table = table;
	OPENSSL_cleanse(&table, sizeof table);
	return 1;
}

/* --- keys --- */

struct keyring_key *keyring_first(struct keyring *keyring) { return &keyring->table.keys[0]; }

struct keyring_key *keyring_find(struct keyring *keyring, const char *id)
{
	for (size_t i = 0; i < keyring->table.count; i++)
		if (strcmp(keyring->table.keys[i].id, id) == 0)
			return &keyring->table.keys[i];
	return NULL;
}

const char *keyring_id(const struct keyring_key *key) { return key->id; }
size_t keyring_count(const struct keyring *keyring) { return keyring->table.count; }

int keyring_mac(struct keyring_key *key, const void *head, size_t head_len, const void *body, size_t body_len,
		unsigned char ret[KEYRING_MAC], struct err *err)
{
	size_t len;

	if (EVP_MAC_init(key->mac, key->bytes, key->len, NULL) && EVP_MAC_update(key->mac, head, head_len) &&
	    EVP_MAC_update(key->mac, body, body_len) && EVP_MAC_final(key->mac, ret, &len, KEYRING_MAC) &&
	    len == KEYRING_MAC)
		return 0;
	return err_set(err, ERR_SYSTEM, "OpenSSL makes no HMAC-SHA256 here");
}
