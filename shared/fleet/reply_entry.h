/* How one owed reply is written as a field of a job's replies hash. */
#ifndef FLOTILLA_FLEET_REPLY_ENTRY_H
#define FLOTILLA_FLEET_REPLY_ENTRY_H

#include <stdbool.h>

#include "base/buf.h"

/* Appends "LENGTH:CORRELATION REPLY_TO". The correlation id may hold any bytes. */
void reply_entry_encode(struct buf *ret, const char *reply_to, const char *correlation, size_t len);
/* Points into `entry`, of `size` bytes and a NUL; false where it is none. */
bool reply_entry_decode(const char *entry, size_t size, const char **ret_reply_to, const char **ret_correlation,
			size_t *ret_len);

#endif
