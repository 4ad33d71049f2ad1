/* A job's record as HGETALL gives it, read and shown. Pure. */
#ifndef FLOTILLA_PRODUCER_RECORD_H
#define FLOTILLA_PRODUCER_RECORD_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "job/state.h"
#include "store/store.h"

/* The text of a field, or "" where there is none; a number, or `none`. */
const char *record_text(const struct store_reply *record, const char *name);
int64_t record_int(const struct store_reply *record, const char *name, int64_t none);
/* enum job_state, or -1 for a record that is none. */
int record_state(const struct store_reply *record);
bool record_ended(const struct store_reply *record);

/* All fields of the contract (section 5) and `id`, absent ones null; numbers as numbers, labels as an object. `result`
 * is JSON text, or NULL: then there is no such member. The caller has the reference. */
json_t *record_json(const char *id, const struct store_reply *record, const char *result);

/* What a reason says in words: "its program exited with status 3". Appends. */
void record_reason(const struct store_reply *record, struct buf *ret);

/* "3 s", "2 min 4 s": from `then` to `now`, or "-" where `then` is 0 or below. DURATION_TEXT bytes. */
void age_format(int64_t now, int64_t then, char *text);

#endif
