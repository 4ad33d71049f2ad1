/* Redis URLs, key names and the entries of owed replies. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "fleet/reply_entry.h"
#include "store/internal.h"

struct url_row {
	const char *url, *host, *user, *password, *path;
	int port, db;
	bool tls;
	const char *shown;
};

Test(store_names, good_urls)
{
	static const struct url_row rows[] = {
		{"redis://localhost", "localhost", NULL, NULL, NULL, 6379, 0, false, "redis://localhost:6379/0"},
		{"redis://localhost:7000/3", "localhost", NULL, NULL, NULL, 7000, 3, false, "redis://localhost:7000/3"},
		{"redis://:pa%3Ass@h:1/", "h", NULL, "pa:ss", NULL, 1, 0, false, "redis://h:1/0"},
		{"redis://me:p@ss@h/2", "h", "me", "p@ss", NULL, 6379, 2, false, "redis://h:6379/2"},
		{"redis://[::1]:6380/0", "::1", NULL, NULL, NULL, 6380, 0, false, "redis://[::1]:6380/0"},
		{"rediss://me:secret@h:6380/1", "h", "me", "secret", NULL, 6380, 1, true, "rediss://h:6380/1"},
		{"redis:///4", "localhost", NULL, NULL, NULL, 6379, 4, false, "redis://localhost:6379/4"},
		{"unix:///run/redis.sock", NULL, NULL, NULL, "/run/redis.sock", 0, 0, false, "unix:///run/redis.sock"},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct store_url url;
		struct err err;
		cr_assert_eq(store_url_parse(rows[i].url, &url, &err), 0, "%s", rows[i].url);
#define SAME(a, b) (!(a) ? !(b) : (b) && strcmp(a, b) == 0)
		cr_expect(SAME(rows[i].host, url.host) && SAME(rows[i].user, url.user) &&
				  SAME(rows[i].password, url.password) && SAME(rows[i].path, url.path),
			  "%s", rows[i].url);
		cr_expect(url.port == rows[i].port && url.db == rows[i].db && url.tls == rows[i].tls, "%s",
			  rows[i].url);
		CLEANUP(freep) char *shown = store_url_shown(rows[i].url);
		cr_expect_str_eq(shown, rows[i].shown);
		store_url_release(&url);
	}
}

Test(store_names, bad_urls_are_told_without_the_password)
{
	static const char *const rows[] = {"",
					   "localhost:6379",
					   "http://h/",
					   "rediss://:secret@h:x/0",
					   "redis://:secret@h:0/",
					   "redis://:secret@h:99999/",
					   "redis://:secret@h:x/",
					   "redis://:secret@h/one",
					   "redis://:secret@h/-1",
					   "redis://:secret/x@h:6379/0",
					   "redis://u:12/secret@h:6379/0",
					   "redis://:secret@h?db=1"};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct err err;
		const struct store_options options = {.url = rows[i]};
		cr_expect_eq(store_options_check(&options, &err), ERR_USAGE, "%s", rows[i]);
		cr_expect(strstr(err.text, "Redis URL") && !strstr(err.text, "secret"), "%s", err.text);
	}
}

Test(store_names, a_shown_url_has_no_password)
{
	char *shown = store_url_shown("redis://me:secret@h:7000/2");
	cr_expect_str_eq(shown, "redis://h:7000/2");
	free(shown);
}

Test(store_names, keys_are_those_of_the_protocol)
{
	struct buf key = BUF_INIT;

	store_key(&key, "p", KEY_DEPENDENTS, "a/b", NULL);
	cr_expect_str_eq(key.data, "p:job:a/b:dependents");
	buf_reset(&key);
	store_key(&key, "{p}", KEY_RUN_JOBS, NULL, "nightly-1");
	cr_expect_str_eq(key.data, "{p}:run:nightly-1:jobs");
	buf_reset(&key);
	store_key(&key, "p", KEY_OUTBOX, "ignored", NULL);
	cr_expect_str_eq(key.data, "p:outbox");
	buf_release(&key);
	cr_expect_eq(store_key_parse("run_hash", 8), KEY_RUN);
	cr_expect_eq(store_key_parse("run_has", 7), -1);
}

Test(store_names, reply_entries_hold_any_bytes)
{
	static const char correlation[] = "a b:\0 c";
	struct buf entry = BUF_INIT;
	const char *reply_to, *back;
	size_t len;

	reply_entry_encode(&entry, "my queue", correlation, sizeof correlation - 1);
	cr_assert(reply_entry_decode(entry.data, entry.len, &reply_to, &back, &len));
	cr_expect_eq(len, sizeof correlation - 1);
	cr_expect_eq(memcmp(back, correlation, len), 0);
	cr_expect_str_eq(reply_to, "my queue");
	buf_release(&entry);
}

Test(store_names, what_is_no_reply_entry)
{
	static const char *const rows[] = {"", ":", "5", "x:abc q", "9:abc q", "3:abcq", "99999999999999999999:a q"};
	const char *reply_to, *back;
	size_t len;

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		cr_expect(!reply_entry_decode(rows[i], strlen(rows[i]), &reply_to, &back, &len), "%s", rows[i]);
}

Test(store_names, commands_are_written_as_redis_reads_them)
{
	struct buf out = BUF_INIT;
	const struct store_arg args[] = {STORE_TEXT("SET"), STORE_TEXT("k"), STORE_BYTES("a\0b", 3)};

	store_encode(&out, args, 3);
	cr_expect_eq(out.len, 29);
	cr_expect_eq(memcmp(out.data, "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$3\r\na\0b\r\n", out.len), 0);
	buf_release(&out);
}

static void split(const char *name, int key, const char *of)
{
	const char *at = NULL;
	size_t len = 0;

	cr_expect_eq(store_key_split("fleet", name, &at, &len), key, "%s", name);
	if (key >= 0)
		cr_expect(len == strlen(of) && memcmp(at, of, len) == 0, "%s", name);
}

/* What store_key makes, store_key_split takes apart. */
Test(store_names, keys_are_split)
{
	for (int key = 0; key < STORE_KEY_COUNT; key++) {
		if (store_key_word((enum store_key)key) == 2) /* named as the job's own */
			continue;
		struct buf fleet = BUF_INIT, one = BUF_INIT, other = BUF_INIT;
		const char *at;
		size_t len;
		store_key(&fleet, "fleet", (enum store_key)key, "", "");
		store_key(&one, "fleet", (enum store_key)key, "a/b.c", "a/b.c");
		store_key(&other, "f", (enum store_key)key, "a", "a");
		cr_expect_eq(store_key_split("fleet", one.data, &at, &len), key, "%s", one.data);
		cr_expect(len == strlen(one.data) - strlen(fleet.data), "%s", one.data);
		cr_expect_eq(store_key_split("fleet", other.data, &at, &len), -1, "%s", other.data);
		buf_release(&fleet);
		buf_release(&one);
		buf_release(&other);
	}
	split("fleet:job:a:spec", KEY_SPEC, "a");
	split("fleet:job:a:b", -1, "");
	split("fleet:job:", -1, "");
	split("fleet:dedup:a:b c", KEY_DEDUP, "a:b c");
	split("fleet:run:r:jobs", KEY_RUN_JOBS, "r");
	split("fleet:leases:x", -1, "");
	split("fleetx:leases", -1, "");
	split("other", -1, "");
}
