/* A MessagePack map, built entry by entry. */
#ifndef FLOTILLA_PRODUCER_PACK_H
#define FLOTILLA_PRODUCER_PACK_H

#include <stdint.h>

#include "base/buf.h"

struct pack {
	struct buf body;
	size_t count; /* entries */
};

/* Each appends one entry. */
void pack_text(struct pack *pack, const char *key, const char *value);
void pack_int(struct pack *pack, const char *key, int64_t value);
void pack_true(struct pack *pack, const char *key);
/* An array of texts. */
void pack_texts(struct pack *pack, const char *key, const char *const *texts, size_t count);
/* `packed` is one MessagePack value. */
void pack_value(struct pack *pack, const char *key, const struct buf *packed);
void pack_map(struct pack *pack, const char *key, const struct pack *map);
/* A map as an element of an array: header and entries, appended. */
void pack_write(const struct pack *pack, struct buf *ret);
/* Appends the header of an array. */
void pack_array_header(struct buf *ret, size_t count);
void pack_string(struct buf *ret, const char *text);
void pack_release(struct pack *pack);

#endif
