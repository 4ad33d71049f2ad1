/* The runner's end of its pipe, and what a handler in C is given of a job: any bytes from the worker. The handler gives
 * the arguments back as its result. */
#include "fuzz.h"

#include <fcntl.h>

#include "exec/frames.h"
#include "job/json.h"
#include "runner/job.h"

static int run(struct flotilla_job *job, void *state)
{
	size_t len;

	must(flotilla_job_args(job) && flotilla_job_results(job) && flotilla_job_args_msgpack(job, &len) && len > 0);
	must(utf8_valid(flotilla_job_args(job), strlen(flotilla_job_args(job))));
	if (flotilla_job_attempt(job) % 3 == 0)
		return flotilla_job_fail(job, "%s of %s", flotilla_job_id(job) ? flotilla_job_id(job) : "nobody",
					 flotilla_job_run(job) ? flotilla_job_run(job) : "nothing");
	if (flotilla_job_stopping(job))
		return flotilla_job_refuse(job, "%s", flotilla_job_task(job) ? flotilla_job_task(job) : "");
	flotilla_job_progress(job, flotilla_job_args(job));
	flotilla_job_result(job, flotilla_job_args(job));
	(*(int *)state)++;
	return 0;
}

/* What it wrote is what the worker reads: whole frames of sound messages. */
static void check_written(const char *bytes, size_t size)
{
	struct frames frames = {0};
	const char *inside;
	size_t len;
	struct err err;
	int r;

	frames_add(&frames, bytes, size);
	while ((r = frames_next(&frames, &inside, &len, &err)) > 0) {
		struct message message;
		if (message_decode(inside, len, &message, &err) == 0)
			message_release(&message);
	}
	must(r == 0 && frames.at == frames.bytes.len);
	frames_release(&frames);
}

static void serve(struct wire *wire, int *runs)
{
	static const struct flotilla_handler handler = {.version = FLOTILLA_HANDLER_VERSION, .run = run};
	msgpack_unpacked message;

	wire_hello(wire);
	while (wire_read(wire, &message)) {
		char *type = wire_text(&message.data, "type");
		if (type && strcmp(type, "job") == 0)
			runner_run(wire, &handler, runs, &message.data);
		free(type);
		msgpack_unpacked_destroy(&message);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char path[FUZZ_PATH];
	struct wire wire = {fuzz_file(data, size, path), memfd_create("output", MFD_CLOEXEC)};
	off_t written;
	int runs = 0;

	must(wire.out >= 0);
	serve(&wire, &runs);
	written = lseek(wire.out, 0, SEEK_END);
	must(written > 0);
	void *bytes = mmap(NULL, (size_t)written, PROT_READ, MAP_PRIVATE, wire.out, 0);
	must(bytes != MAP_FAILED);
	check_written(bytes, (size_t)written);
	munmap(bytes, (size_t)written);
	close(wire.in);
	close(wire.out);
	return 0;
}
