/* Settings with which Redis can lose what it has answered, and what it says of its own state. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "doctor/doctor.h"

/* What is asked for; where it is otherwise, what that means. */
static const struct {
	const char *name, *right, *words;
} settings[] = {
	{"appendonly", "yes", "there is no log of what was written: a crash loses all since the last snapshot"},
	{"appendfsync", "always",
	 "what Redis has answered may not be on the disk yet: a crash can lose it. Workers acknowledge two seconds "
	 "later "
	 "for that, but what flotilla submit was told to stand may be gone"},
	{"maxmemory-policy", "noeviction", "a Redis that is full throws away keys, and jobs with them"},
	{"no-appendfsync-on-rewrite", "no", "while the log is rewritten nothing is synced to the disk"},
	{"aof-load-truncated", "yes", "after a crash in the middle of a write Redis does not start by itself"},
};

static const char *field(const struct store_reply *config, const char *name)
{
	const char *text = store_field(config, name);
	return text ? text : "";
}

static void check_settings(const struct store_reply *config, struct findings *into)
{
	bool log = strcmp(field(config, "appendonly"), "yes") == 0;

	for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
		const char *is = field(config, settings[i].name);
		bool of_log = strstr(settings[i].name, "append") && i > 0;
		if (!*is || strcmp(is, settings[i].right) == 0 || (of_log && !log))
			continue;
		found(into, KIND_REDIS_SETTING, settings[i].name, is, "it is %s, and should be %s: %s", is,
		      settings[i].right, settings[i].words);
	}
	if (log && strcmp(field(config, "auto-aof-rewrite-percentage"), "0") == 0)
		found(into, KIND_REDIS_SETTING, "auto-aof-rewrite-percentage", "0",
		      "the log is never rewritten, and grows until the disk is full");
}

/* `name:value` in the text of INFO; "" where there is none. */
static char *info(const char *text, const char *name)
{
	size_t len = strlen(name);

	for (const char *at = strstr(text, name); at; at = strstr(at + 1, name))
		if ((at == text || at[-1] == '\n') && at[len] == ':')
			return strndup(at + len + 1, strcspn(at + len + 1, "\r\n"));
	return strdup("");
}

static void check_state(const char *text, struct findings *into)
{
	static const char *const statuses[] = {"aof_last_write_status", "aof_last_bgrewrite_status"};
	CLEANUP(freep)
	char *role = info(text, "role"), *used = info(text, "used_memory"), *most = info(text, "maxmemory");
	CLEANUP(freep) char *loading = info(text, "loading");

	for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++) {
		CLEANUP(freep) char *status = info(text, statuses[i]);
		if (*status && strcmp(status, "ok") != 0)
			found(into, KIND_REDIS_STATE, statuses[i], status, "it is %s: Redis could not write its log",
			      status);
	}
	if (*role && strcmp(role, "master") != 0)
		found(into, KIND_REDIS_STATE, "role", role,
		      "it is %s: a replica takes no writes; name the primary's URL", role);
	if (strcmp(loading, "1") == 0)
		found(into, KIND_REDIS_STATE, "loading", "", "Redis is still reading its data");
	if (strtoll(most, NULL, 10) > 0 && strtoll(used, NULL, 10) > strtoll(most, NULL, 10) / 10 * 9)
		found(into, KIND_REDIS_STATE, "used_memory", "",
		      "%s of %s bytes are in use: when it is full nothing new is admitted", used, most);
}

static int check_default(struct doctor *doctor, struct findings *into, struct err *err)
{
	CLEANUP(store_reply_freep) struct store_reply *asked = access_default_asked(doctor->session, err);

	if (!asked)
		return err->code;
	if (store_reply_error(asked))
		found(into, KIND_CONFIG_HIDDEN, "default", "", "what the user `default` may do cannot be seen: %s",
		      store_reply_error(asked));
	if (access_default_misses(asked))
		found(into, KIND_REDIS_USER, "default", "",
		      "the user `default` may not write jobs (%s), and as that user Redis reads its log when it "
		      "starts: "
		      "it would leave out what scripts wrote, and lose jobs",
		      access_default_misses(asked));
	return 0;
}

int look_redis(struct doctor *doctor, struct findings *into, struct err *err)
{
	CLEANUP(store_reply_freep)
	struct store_reply *config = store_sync(doctor->session->store, SESSION_ANSWER_MS, err, "CONFIG GET *");
	CLEANUP(store_reply_freep)
	struct store_reply *state = config ? store_sync(doctor->session->store, SESSION_ANSWER_MS, err, "INFO") : NULL;

	if (!config || !state)
		return err->code;
	if (store_reply_error(config))
		found(into, KIND_CONFIG_HIDDEN, "redis", "", "its settings cannot be read: %s",
		      store_reply_error(config));
	else
		check_settings(config, into);
	if (!store_reply_error(state))
		check_state(store_reply_text(state, NULL), into);
	return check_default(doctor, into, err);
}
