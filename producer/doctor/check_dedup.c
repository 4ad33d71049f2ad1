/* Dedup keys. A key whose holder has ended has an expiry, or is about to be released; one whose holder lives has none.
 */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "doctor/doctor.h"

struct key {
	const char *name;
	struct store_reply *holder, *goes;
	struct store_reply *tenure, *tenure_goes;
	struct store_reply *record, *telling; /* of the holder: state, ended_at, dedup */
};

/* The sign is what a repair compares: the holder, a blank, its tenure. */
static void judge(const struct key *key, struct findings *into)
{
	const char *holder = store_reply_text(key->holder, NULL), *state = store_text_at(key->record, 0);
	bool for_ever = store_reply_int(key->goes) == -1, left = store_reply_int(key->tenure_goes) == -1;
	CLEANUP(buf_release) struct buf sign = BUF_INIT;

	buf_addf(&sign, "%s %s", holder, store_reply_text(key->tenure, NULL));
	if (!*holder) {
		if (left)
			found(into, KIND_DEDUP_STALE, key->name, sign.data, "its tenure is there, and nobody holds it");
	} else if (!*state) {
		if (for_ever)
			found(into, KIND_DEDUP_STALE, key->name, sign.data,
			      "it is held by %s, of which there is no record", holder);
	} else if (*store_text_at(key->record, 1)) {
		if (for_ever && store_reply_nil(key->telling))
			found(into, KIND_DEDUP_STALE, key->name, sign.data, "it is held by %s, which has ended (%s)",
			      holder, state);
	} else if (strcmp(store_text_at(key->record, 2), key->name) != 0) {
		found(into, KIND_DEDUP_STALE, key->name, sign.data, "it is held by %s, which is not a job of that key",
		      holder);
	} else if (!for_ever || store_reply_int(key->tenure_goes) >= 0) {
		found(into, KIND_DEDUP_EXPIRES, key->name, sign.data,
		      "its holder %s is %s, and the key has an expiry: another job could begin beside it", holder,
		      state);
	}
}

static int read_keys(struct doctor *doctor, struct key *keys, size_t count, struct err *err)
{
	int r;

	for (size_t i = 0; i < count; i++) {
		doctor_ask(doctor, &keys[i].holder, "GET %k", KEY_DEDUP, keys[i].name);
		doctor_ask(doctor, &keys[i].goes, "PEXPIRETIME %k", KEY_DEDUP, keys[i].name);
		doctor_ask(doctor, &keys[i].tenure, "GET %k", KEY_TENURE, keys[i].name);
		doctor_ask(doctor, &keys[i].tenure_goes, "PEXPIRETIME %k", KEY_TENURE, keys[i].name);
	}
	r = doctor_wait(doctor, err);
	for (size_t i = 0; i < count && r == 0; i++) {
		const char *holder = store_reply_text(keys[i].holder, NULL);
		doctor_ask(doctor, &keys[i].record, "HMGET %k state ended_at dedup", KEY_JOB, holder);
		doctor_ask(doctor, &keys[i].telling, "ZSCORE %k %s", KEY_SETTLING, "", holder);
	}
	return r == 0 ? doctor_wait(doctor, err) : r;
}

int look_dedup(struct doctor *doctor, const struct ids *names, struct findings *into, struct err *err)
{
	CLEANUP(freep) struct key *keys = xcalloc(names->count + 1, sizeof *keys);
	int r;

	for (size_t i = 0; i < names->count; i++)
		keys[i].name = names->at[i];
	r = read_keys(doctor, keys, names->count, err);
	for (size_t i = 0; i < names->count; i++) {
		if (r == 0)
			judge(&keys[i], into);
		store_reply_free(keys[i].holder);
		store_reply_free(keys[i].goes);
		store_reply_free(keys[i].tenure);
		store_reply_free(keys[i].tenure_goes);
		store_reply_free(keys[i].record);
		store_reply_free(keys[i].telling);
	}
	return r;
}
