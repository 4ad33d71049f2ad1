/* `user`, `limits` and `isolate` of the handlers file. */
#ifndef FLOTILLA_CONSUMER_EXEC_CONFINE_KEYS_H
#define FLOTILLA_CONSUMER_EXEC_CONFINE_KEYS_H

#include "base/yaml.h"
#include "exec/internal.h"

/* Each makes the handler's confinement where it has none. ERR_INPUT with file and line. */
int confine_take_user(struct handler *handler, const struct yaml_node *node, struct err *err);
int confine_take_limits(struct handler *handler, const struct yaml_node *node, struct err *err);
int confine_take_isolate(struct handler *handler, const struct yaml_node *node, struct err *err);
/* What is hidden by `isolate` and has to be seen: its program, its directory. */
int confine_check_paths(const struct handler *handler, const struct yaml_node *node, struct err *err);

#endif
