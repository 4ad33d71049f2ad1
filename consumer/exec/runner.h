/* Long-lived children that take jobs one after another (docs/runner-protocol.md). */
#ifndef FLOTILLA_CONSUMER_EXEC_RUNNER_H
#define FLOTILLA_CONSUMER_EXEC_RUNNER_H

struct runners;

/* environ.c: the program that loads C plugins: what FLOTILLA_RUNNER names, else the one beside this program or in
 * ../libexec/flotilla, else a name to be found in PATH. The caller's to free(). */
char *runner_program(void);
/* Frees what runners_close has closed; NULL is fine. */
void runners_free(struct runners *runners);

#endif
