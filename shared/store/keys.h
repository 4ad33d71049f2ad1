/* The names of Redis keys (contract, section 5), spelled here and nowhere else. */
#ifndef FLOTILLA_STORE_KEYS_H
#define FLOTILLA_STORE_KEYS_H

#include <stddef.h>

#include "base/buf.h"

/* name in the scripts (`local job, spec = unpack(KEYS)`), text before the id or run, text behind it; what it is of.
 * NEXT: of another job, which the script's first argument names (pass.lua). */
#define STORE_KEY_MAP(X)                                                                                               \
	X(KEY_JOB, "job", ":job:", "", ID)                                                                             \
	X(KEY_SPEC, "spec", ":job:", ":spec", ID)                                                                      \
	X(KEY_RESULT, "result", ":job:", ":result", ID)                                                                \
	X(KEY_OUTPUT, "output", ":job:", ":output", ID)                                                                \
	X(KEY_WAITING, "waiting", ":job:", ":waiting", ID)                                                             \
	X(KEY_DEPENDENTS, "dependents", ":job:", ":dependents", ID)                                                    \
	X(KEY_ASKED, "asked", ":job:", ":replies", ID)                                                                 \
	X(KEY_DEDUP, "dedup", ":dedup:", "", ID)                                                                       \
	X(KEY_TENURE, "tenure", ":tenure:", "", ID)                                                                    \
	X(KEY_RUN, "run_hash", ":run:", "", RUN)                                                                       \
	X(KEY_RUN_JOBS, "run_jobs", ":run:", ":jobs", RUN)                                                             \
	X(KEY_LEASES, "leases", ":leases", "", FLEET)                                                                  \
	X(KEY_SCHEDULED, "scheduled", ":scheduled", "", FLEET)                                                         \
	X(KEY_EXPIRING, "expiring", ":expiring", "", FLEET)                                                            \
	X(KEY_OUTBOX, "outbox", ":outbox", "", FLEET)                                                                  \
	X(KEY_SETTLING, "settling", ":settling", "", FLEET)                                                            \
	X(KEY_REPLIES, "replies", ":replies", "", FLEET)                                                               \
	X(KEY_STATS, "stats", ":stats", "", FLEET)                                                                     \
	X(KEY_WORKERS, "workers", ":workers", "", FLEET)                                                               \
	X(KEY_IDLE, "idle", ":idle:", "", RUN)                                                                         \
	X(KEY_WORKER, "worker", ":worker:", "", ID)                                                                    \
	X(KEY_CARETAKER, "caretaker", ":caretaker", "", FLEET)                                                         \
	X(KEY_SCHEMA, "schema", ":schema", "", FLEET)                                                                  \
	X(KEY_RUN_COUNTER, "counter", ":counter:", "", ID)                                                             \
	X(KEY_EVENTS, "events", ":events", "", FLEET)                                                                  \
	X(KEY_NEXT_JOB, "next_job", ":job:", "", NEXT)                                                                 \
	X(KEY_NEXT_SPEC, "next_spec", ":job:", ":spec", NEXT)                                                          \
	X(KEY_NEXT_WAITING, "next_waiting", ":job:", ":waiting", NEXT)                                                 \
	X(KEY_NEXT_DEPENDENTS, "next_dependents", ":job:", ":dependents", NEXT)

enum store_key {
#define X(name, word, before, behind, of) name,
	STORE_KEY_MAP(X)
#undef X
		STORE_KEY_COUNT
};

/* Appends a key's (or channel's) name. `id` is the job's, dedup key, worker's name or run, as the key is of one. */
void store_key(struct buf *ret, const char *prefix, enum store_key key, const char *id, const char *run);
/* Which of a script's words names it: 0 its id, 1 its run, 2 its first argument, which is the `id` of a NEXT key then.
 */
size_t store_key_word(enum store_key key);
/* The key that a script calls `word`; -1 where there is none. */
int store_key_parse(const char *word, size_t len);
/* Which key a name is of: an enum store_key, and in `ret_of` (borrowed from `name`) and `ret_len` whose it is, none for
 * the fleet's own. -1 where the fleet has no such key. */
int store_key_split(const char *prefix, const char *name, const char **ret_of, size_t *ret_len);

#endif
