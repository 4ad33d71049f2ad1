/* The roles. broker-config/README.md says to people what stands here. */
#include <nettle/base64.h>
#include <nettle/sha2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "access.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/hex.h"

/* What reads; keys that begin otherwise are not seen (but for their names, by SCAN). */
#define LOOK                                                                                                           \
	"+ping +hello +select +quit +client|setname +subscribe +unsubscribe +get +mget +strlen +getrange +exists "     \
	"+type +pttl +pexpiretime +hget +hmget +hgetall +hlen +hexists +hscan +scard +sismember +sscan +zcard "        \
	"+zcount +zscore +zrange +zrangebyscore +zrandmember +zscan +scan +dbsize +time"
/* What the transitions are made of. Redis looks at each command in a script as if its caller had sent it. */
#define CHANGE                                                                                                         \
	"+evalsha +script|load +pubsub|numsub +pubsub|numpat +info +publish +set +setnx +mset +incr +del +unlink "     \
	"+persist +pexpire +pexpireat +hset +hsetnx +hdel +hincrby +sadd +srem +zadd +zrem +zremrangebyscore"
#define JOBS                                                                                                           \
	"~@:job:* ~@:dedup:* ~@:tenure:* ~@:run:* ~@:counter:* ~@:leases ~@:scheduled ~@:expiring ~@:outbox "          \
	"~@:settling "                                                                                                 \
	"~@:replies ~@:stats ~@:schema"

#define OWN_QUEUE "^amq\\.gen-.*$"
#define NOTHING "^$"
#define OF_THE_FLEET "^@(\\..*)?$"

const struct access_role access_roles[] = {
	/* declares queues that the server names, which nobody else can (they are exclusive), and writes to the one
	 * exchange: not to the default one, which reaches every queue */
	{"stranger", OWN_QUEUE, "^@$", OWN_QUEUE, NULL},
	/* cannot declare, so cannot delete */
	{"client", OWN_QUEUE, "^(@|amq\\.default)$", OWN_QUEUE, JOBS " %R~@:* &@:events " LOOK " " CHANGE},
	/* amq.default for replies and invitations; its own queues for binding them */
	{"worker", OF_THE_FLEET, "^(@(\\..*)?|amq\\.default)$", OF_THE_FLEET,
	 "~@:* &@:events &@:worker:* " LOOK " " CHANGE " +config|get"},
	{"operator", OF_THE_FLEET, "^(@(\\..*)?|amq\\.default)$", OF_THE_FLEET,
	 "~@:* &@:events &@:worker:* " LOOK " " CHANGE " +config|get +acl|dryrun"},
	{"monitor", NOTHING, NOTHING, NOTHING, "%R~@:* &@:events " LOOK},
};
const size_t access_role_count = sizeof access_roles / sizeof *access_roles;

static void fill_in(struct buf *ret, const char *pattern, const char *prefix, bool regular)
{
	for (; *pattern; pattern++) {
		if (*pattern != '@') {
			buf_add(ret, pattern, 1);
			continue;
		}
		for (const char *at = prefix; *at; at++)
			buf_addf(ret, "%s%c", regular && strchr("{}", *at) ? "\\" : "", *at);
	}
}

void access_pattern(struct buf *ret, const char *pattern, const char *prefix) { fill_in(ret, pattern, prefix, true); }

static char *digest_rule(const char *password)
{
	struct sha256_ctx context;
	uint8_t digest[SHA256_DIGEST_SIZE];
	char rule[1 + 2 * sizeof digest + 1] = "#";

	sha256_init(&context);
	sha256_update(&context, strlen(password), (const uint8_t *)password);
	sha256_digest(&context, sizeof digest, digest);
	hex_encode(digest, sizeof digest, rule + 1);
	return xstrdup(rule);
}

char **access_rules(const struct access_user *user, const char *prefix)
{
	struct buf filled = BUF_INIT;
	char **rules, *at, *rule;
	size_t count = 0;

	if (!user->role->acl)
		return NULL;
	fill_in(&filled, user->role->acl, prefix, false);
	at = buf_detach(&filled);
	rules = xcalloc(strlen(at) + 4, sizeof *rules);
	rules[count++] = xstrdup("reset");
	rules[count++] = xstrdup("on");
	rules[count++] = digest_rule(user->password);
	for (char *rest = at; (rule = strsep(&rest, " "));)
		rules[count++] = xstrdup(rule);
	free(at);
	return rules;
}

void access_rules_free(char **rules)
{
	for (char **at = rules; rules && *at; at++)
		free(*at);
	free(rules);
}

/* --- RabbitMQ's hash: base64(salt, sha256(salt, password)), the salt of four bytes --- */

#define SALT 4

static void salted(char ret[ACCESS_HASH], const uint8_t salt[SALT], const char *password)
{
	uint8_t bytes[SALT + SHA256_DIGEST_SIZE];
	struct sha256_ctx context;

	memcpy(bytes, salt, SALT);
	sha256_init(&context);
	sha256_update(&context, SALT, salt);
	sha256_update(&context, strlen(password), (const uint8_t *)password);
	sha256_digest(&context, SHA256_DIGEST_SIZE, bytes + SALT);
	base64_encode_raw(ret, sizeof bytes, bytes);
	ret[BASE64_ENCODE_RAW_LENGTH(sizeof bytes)] = '\0';
}

void access_hash(char ret[ACCESS_HASH], const char *password)
{
	uint8_t salt[SALT];

	random_bytes(salt, sizeof salt);
	salted(ret, salt, password);
}

bool access_hash_fits(const char *hash, const char *password)
{
	uint8_t bytes[BASE64_DECODE_LENGTH(ACCESS_HASH)];
	struct base64_decode_ctx context;
	size_t len = sizeof bytes;
	char again[ACCESS_HASH];

	base64_decode_init(&context);
	if (strlen(hash) >= ACCESS_HASH || !base64_decode_update(&context, &len, bytes, strlen(hash), hash) ||
	    !base64_decode_final(&context) || len != SALT + SHA256_DIGEST_SIZE)
		return false;
	salted(again, bytes, password);
	return strcmp(again, hash) == 0;
}
