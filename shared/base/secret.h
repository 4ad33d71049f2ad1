/* What must not be seen. Pure. */
#ifndef FLOTILLA_BASE_SECRET_H
#define FLOTILLA_BASE_SECRET_H

/* Overwrites the password of a URL, in place: of an argument, which every user of the machine can read in /proc while
 * the program runs. (Until it has come this far it can be read there: an environment variable or a file never can.) */
void secret_hide(char *url);

#endif
