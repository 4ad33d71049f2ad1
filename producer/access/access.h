/* Who may do what: the roles, the file that gives users to them, and what RabbitMQ and Redis are told of both.
 *
 * A user has one name and one password on both servers. To change what a role may do: its row in roles.c, the tables in
 * broker-config/README.md, tests/integration/test_roles.py. */
#ifndef FLOTILLA_PRODUCER_ACCESS_H
#define FLOTILLA_PRODUCER_ACCESS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"

/* In these `@` stands for the fleet's prefix. */
struct access_role {
	const char *name;
	const char *configure, *write, *read; /* RabbitMQ's regular expressions */
	const char *acl;                      /* rules of Redis' ACL, parted by blanks; NULL: no user there at all */
};

extern const struct access_role access_roles[];
extern const size_t access_role_count;

struct access_user {
	char *name, *password;
	const struct access_role *role;
};

struct access_users {
	struct access_user *at;
	size_t count;
};

/* Reads a file of users (broker-config/users.example.yaml), and the passwords from where it says. Paths are relative to
 * the file. Blocks. ERR_INPUT with file and line; no error ever has a password in it. */
int access_users_load(const char *file, struct access_users *ret, struct err *err);
void access_users_release(struct access_users *users);

/* A permission of RabbitMQ for a prefix: the prefix with what regular expressions would take otherwise escaped. */
void access_pattern(struct buf *ret, const char *pattern, const char *prefix);
/* The rules of Redis for a user, one an argument: `reset on #DIGEST ~… +…`; NULL-terminated, each and the list the
 * caller's to free with access_rules_free. NULL for a role without Redis. */
char **access_rules(const struct access_user *user, const char *prefix);
void access_rules_free(char **rules);

/* RabbitMQ's salted SHA-256 of a password, in base 64, with a new salt; and whether a hash is one of a password. */
#define ACCESS_HASH 64
void access_hash(char ret[ACCESS_HASH], const char *password);
bool access_hash_fits(const char *hash, const char *password);

/* What RabbitMQ's import_definitions and load_definitions take: users and permissions, as one JSON document. The
 * caller frees. */
char *access_definitions(const struct access_users *users, const char *prefix, const char *vhost);

struct app;
/* Brings RabbitMQ's users and permissions in line, over its management plugin at `url` (NULL: beside the broker, by
 * http), and says what changed on standard output. Blocks. ERR_SERVICE: not reached; ERR_REFUSED: no administrator, or
 * a user that is one; ERR_USAGE: a bad URL. */
int access_apply_rabbitmq(const struct app *app, const struct access_users *users, const char *url, struct err *err);
/* The same for Redis' users, over the fleet's own connection. Saves them where Redis has a file for them. */
int access_apply_redis(const struct app *app, const struct access_users *users, struct err *err);

struct session;
struct store_reply;
/* Whether Redis' user `default` has the right to what jobs are written with, on or off: without it Redis loses at its
 * next start what scripts wrote. Blocks. The reply (the caller frees) says it, or is an error reply where Redis does
 * not tell: a user without `+acl|dryrun`, a Redis older than 7. NULL with ERR_SERVICE. */
struct store_reply *access_default_asked(struct session *session, struct err *err);
/* What it says is missing, in Redis' words, owned by `asked`; NULL where nothing is known to be. */
const char *access_default_misses(const struct store_reply *asked);
#define ACCESS_DEFAULT_CURE "ACL SETUSER default ~* &* +@all, which leaves it off, then ACL SAVE"

#endif
