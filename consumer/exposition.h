/* Prometheus' text format, version 0.0.4. Pure. */
#ifndef FLOTILLA_CONSUMER_EXPOSITION_H
#define FLOTILLA_CONSUMER_EXPOSITION_H

#include <stddef.h>

#include "base/buf.h"

#define EXPOSITION_TYPE "text/plain; version=0.0.4; charset=utf-8"

struct label {
	const char *name, *value; /* any UTF-8 as a value */
};

/* The head of a metric; its samples follow at once. `type`: counter, gauge, histogram. `help` has no line break. */
void exposition_head(struct buf *out, const char *name, const char *type, const char *help);
/* One sample; labels end with a zeroed one, NULL: none. */
void exposition_sample(struct buf *out, const char *name, const struct label *labels, double value);
/* A metric of one sample. */
void exposition_single(struct buf *out, const char *name, const char *type, const char *help,
		       const struct label *labels, double value);

#endif
