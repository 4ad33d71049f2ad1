/* What the handlers file says of one handler. */
#ifndef FLOTILLA_CONSUMER_EXEC_HANDLER_KEYS_H
#define FLOTILLA_CONSUMER_EXEC_HANDLER_KEYS_H

#include "base/yaml.h"
#include "exec/internal.h"

/* Fills `handler`, whose name, base and defaults are set, from the map `node`. ERR_INPUT with file and line. */
int handler_take(struct handler *handler, const struct yaml_node *node, struct err *err);
/* The same for one that is built in, which has its way to run already. */
int handler_take_more(struct handler *handler, const struct yaml_node *node, struct err *err);

#endif
