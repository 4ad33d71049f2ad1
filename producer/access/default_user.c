/* Redis' own user `default`. At its start Redis reads its log as that user, on or off, and leaves out each transaction
 * that the user has no right to (7.0.15, with a line in its log): all that scripts wrote. */
#include <string.h>

#include "access/access.h"
#include "session.h"

struct store_reply *access_default_asked(struct session *session, struct err *err)
{
	return store_sync(session->store, SESSION_ANSWER_MS, err, "ACL DRYRUN default HSET %k state queued", KEY_JOB,
			  "any");
}

const char *access_default_misses(const struct store_reply *asked)
{
	const char *text = store_reply_error(asked) ? "" : store_reply_text(asked, NULL);

	return *text && strcmp(text, "OK") != 0 ? text : NULL;
}
