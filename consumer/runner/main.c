/* flotilla-runner PLUGIN.so: loads a handler in C (flotilla/handler.h) and runs jobs for the worker that started it, by
 * the runner protocol on stdin and stdout. */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "runner/job.h"
#include "runner/replay.h"

#define EXIT_USAGE 2

static const struct flotilla_handler *load(const char *path)
{
	void *plugin = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	const struct flotilla_handler *handler;

	if (!plugin) {
		fprintf(stderr, "flotilla-runner: %s\n", dlerror());
		return NULL;
	}
	handler = dlsym(plugin, "flotilla_handler");
	if (!handler || !handler->run) {
		fprintf(stderr, "flotilla-runner: %s exports no flotilla_handler with a run\n", path);
		return NULL;
	}
	if (handler->version != FLOTILLA_HANDLER_VERSION) {
		fprintf(stderr, "flotilla-runner: %s is for version %d of handlers, this is %d: compile it anew\n",
			path, handler->version, FLOTILLA_HANDLER_VERSION);
		return NULL;
	}
	return handler;
}

/* The protocol's ends go to other numbers: what a plugin prints is the job's output, what it reads is nothing. */
static bool take_wire(struct wire *wire)
{
	int none = open("/dev/null", O_RDONLY | O_CLOEXEC);

	wire->in = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
	wire->out = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
	return none >= 0 && wire->in >= 0 && wire->out >= 0 && dup2(none, STDIN_FILENO) >= 0 &&
	       dup2(STDERR_FILENO, STDOUT_FILENO) >= 0;
}

static void serve(struct wire *wire, const struct flotilla_handler *handler, void *state)
{
	msgpack_unpacked message;

	wire_hello(wire);
	while (wire_read(wire, &message)) {
		char *type = wire_text(&message.data, "type");
		/* The worker's hello needs no answer; a cancel of a job that has just ended neither. */
		if (type && strcmp(type, "job") == 0)
			runner_run(wire, handler, state, &message.data);
		free(type);
		msgpack_unpacked_destroy(&message);
	}
}

int main(int argc, char **argv)
{
	const struct flotilla_handler *handler;
	struct wire wire;
	void *state = NULL;

	if (argc == 3 && strcmp(argv[1], REPLAY_OPTION) == 0)
		return replay_main(argv[2]);
	if (argc != 2) {
		fputs("usage: flotilla-runner PLUGIN.so   (flotillad starts it; see docs/runner-protocol.md)\n",
		      stderr);
		return EXIT_USAGE;
	}
	if (!take_wire(&wire)) {
		perror("flotilla-runner: stdin and stdout");
		return 1;
	}
	handler = load(argv[1]);
	if (!handler)
		return EXIT_USAGE;
	if (handler->open && handler->open(&state) != 0) {
		fprintf(stderr, "flotilla-runner: %s could not be opened\n", argv[1]);
		return 1;
	}
	serve(&wire, handler, state);
	if (handler->close)
		handler->close(state);
	return 0;
}
