/* MessagePack, written to a struct buf. Private to this directory. */
#ifndef FLOTILLA_PRODUCER_WORKFLOW_PACK_H
#define FLOTILLA_PRODUCER_WORKFLOW_PACK_H

#include <msgpack.h>
#include <string.h>

#include "base/buf.h"

static inline int pack_write(void *data, const char *bytes, size_t len)
{
	buf_add(data, bytes, len);
	return 0;
}

static inline void pack_init(msgpack_packer *packer, struct buf *ret) { msgpack_packer_init(packer, ret, pack_write); }

static inline void pack_text_len(msgpack_packer *packer, const char *text, size_t len)
{
	msgpack_pack_str(packer, len);
	msgpack_pack_str_body(packer, text, len);
}

static inline void pack_text(msgpack_packer *packer, const char *text) { pack_text_len(packer, text, strlen(text)); }

#endif
