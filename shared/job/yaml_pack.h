/* YAML values as MessagePack, for what a workflow file says of a job. Pure. */
#ifndef FLOTILLA_JOB_YAML_PACK_H
#define FLOTILLA_JOB_YAML_PACK_H

#include "base/buf.h"
#include "base/err.h"
#include "base/yaml.h"

/* Appends a node with all below it: plain scalars typed by YAML 1.2's core rules, quoted ones text. ERR_INPUT with file
 * and line for .nan, .inf, whole numbers beyond uint64 and text that is not UTF-8; `ret` may then hold part of it. */
int yaml_to_msgpack(const struct yaml_node *node, struct buf *ret, struct err *err);

#endif
