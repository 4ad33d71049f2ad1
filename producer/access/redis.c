/* Redis' users. One ACL SETUSER sets a user anew, whatever it was, in one step; what the list of users says before and
 * after tells whether that changed anything. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "access.h"
#include "base/cleanup.h"
#include "session.h"

struct asked {
	struct store_reply *reply;
	bool done;
};

static void on_answer(void *data, const struct store_reply *reply)
{
	struct asked *asked = data;

	asked->reply = store_reply_copy(reply);
	asked->done = true;
}

static bool is_done(void *data) { return ((struct asked *)data)->done; }

/* NULL with `err` filled, for an error reply too. */
static struct store_reply *ask(struct session *session, const struct store_arg *args, size_t count, struct err *err)
{
	struct asked asked = {0};

	store_command(session->store, on_answer, &asked, args, count);
	if (session_run(session, is_done, &asked, SESSION_ANSWER_MS, err) < 0)
		return NULL;
	if (store_reply_error(asked.reply)) {
		err_set(err, ERR_REFUSED, "Redis refuses %.*s %.*s: %s", (int)args[0].len, args[0].at, (int)args[1].len,
			args[1].at, store_reply_error(asked.reply));
		store_reply_free(asked.reply);
		return NULL;
	}
	return asked.reply;
}

/* A user's line in ACL LIST, the caller's to free; empty for one that is not there. */
static char *line_of(struct session *session, const char *name, struct err *err)
{
	const struct store_arg args[] = {STORE_TEXT("ACL"), STORE_TEXT("LIST")};
	CLEANUP(store_reply_freep) struct store_reply *list = ask(session, args, 2, err);
	size_t len = strlen(name);

	if (!list)
		return NULL;
	for (size_t i = 0; i < store_reply_count(list); i++) {
		const char *line = store_text_at(list, i);
		if (strncmp(line, "user ", 5) == 0 && strncmp(line + 5, name, len) == 0 && line[5 + len] == ' ')
			return xstrdup(line);
	}
	return xstrdup("");
}

static int set_user(struct session *session, const struct access_user *user, struct err *err)
{
	char **rules = access_rules(user, store_prefix(session->store));
	struct store_arg *args;
	struct store_reply *reply;
	size_t count = 3;

	while (rules && rules[count - 3])
		count++;
	args = xcalloc(count, sizeof *args);
	args[0] = STORE_TEXT("ACL");
	args[1] = STORE_TEXT(rules ? "SETUSER" : "DELUSER");
	args[2] = STORE_TEXT(user->name);
	for (size_t i = 3; i < count; i++)
		args[i] = STORE_TEXT(rules[i - 3]);
	reply = ask(session, args, count, err);
	free(args);
	access_rules_free(rules);
	if (!reply)
		return err->code;
	store_reply_free(reply);
	return 0;
}

static int apply_user(struct session *session, const struct access_user *user, struct err *err)
{
	CLEANUP(freep) char *before = line_of(session, user->name, err);
	CLEANUP(freep) char *after = NULL;
	const char *what;

	if (!before || ((user->role->acl || before[0]) && set_user(session, user, err) < 0))
		return err->code;
	after = line_of(session, user->name, err);
	if (!after)
		return err->code;
	if (!user->role->acl)
		what = before[0] ? "taken away" : "none, as it was";
	else
		what = !before[0] ? "made" : strcmp(before, after) != 0 ? "set" : "as it was";
	printf("redis     user %s, %s: %s\n", user->name, user->role->name, what);
	return 0;
}

/* Without a file for them, Redis forgets its users when it stops. */
static int save(struct session *session, struct err *err)
{
	const struct store_arg args[] = {STORE_TEXT("ACL"), STORE_TEXT("SAVE")};
	CLEANUP(store_reply_freep) struct store_reply *saved = ask(session, args, 2, err);

	if (saved) {
		printf("redis     users saved in its aclfile\n");
		return 0;
	}
	if (!strstr(err->text, "not configured to use an ACL file"))
		return err->code;
	fprintf(stderr, "flotilla broker: Redis has no aclfile, and forgets these users when it stops; give it one "
			"(broker-config/README.md), or apply them at each start\n");
	return 0;
}

/* The roles are worth nothing beside a user that may do everything and needs no password. */
static int look_at_default(struct session *session, struct err *err)
{
	CLEANUP(freep) char *line = line_of(session, "default", err);
	CLEANUP(store_reply_freep) struct store_reply *asked = line ? access_default_asked(session, err) : NULL;

	if (!asked)
		return err->code;
	if (access_default_misses(asked))
		return err_set(
			err, ERR_REFUSED,
			"Redis' user `default` may not write jobs (%s), and as that user Redis reads its log when it "
			"starts: it would lose jobs. All users of the file are set; give it all "
			"rights: " ACCESS_DEFAULT_CURE,
			access_default_misses(asked));
	if (strstr(line, " on ") && strstr(line, " nopass "))
		fprintf(stderr,
			"flotilla broker: whoever reaches Redis is still its user `default`, without a password: "
			"`ACL SETUSER default off`, or give it one\n");
	return 0;
}

int access_apply_redis(const struct app *app, const struct access_users *users, struct err *err)
{
	struct session session = {0};
	int r = session_open(&session, app, err);

	for (size_t i = 0; i < users->count && r == 0; i++)
		r = apply_user(&session, &users->at[i], err);
	if (r == 0)
		r = save(&session, err);
	if (r == 0)
		r = look_at_default(&session, err);
	session_close(&session);
	return r;
}
