/* The example of a plugin, built for the tests. */
#include "examples/plugin.c"
