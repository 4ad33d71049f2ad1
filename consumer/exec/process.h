/* What others need of process.c. */
#ifndef FLOTILLA_CONSUMER_EXEC_PROCESS_H
#define FLOTILLA_CONSUMER_EXEC_PROCESS_H

#include "exec/internal.h"

struct child *process_child(struct process *process);
/* Frees a NULL-terminated list of strings; NULL is fine. */
void process_argv_free(char **argv);

#endif
