#include "runner/job.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fault.h"
#include "job/json.h"

struct flotilla_job {
	struct wire *wire;
	int64_t seq, attempt;
	char *id, *task, *run;
	struct buf args_json, args_msgpack, results_json;
	struct buf result; /* MessagePack */
	char *error;
	bool bad_argument, stopping;
};

const char *flotilla_job_id(const struct flotilla_job *job) { return job->id; }
const char *flotilla_job_task(const struct flotilla_job *job) { return job->task; }
const char *flotilla_job_run(const struct flotilla_job *job) { return job->run; }
int64_t flotilla_job_attempt(const struct flotilla_job *job) { return job->attempt; }
const char *flotilla_job_args(const struct flotilla_job *job) { return job->args_json.data; }
const char *flotilla_job_results(const struct flotilla_job *job) { return job->results_json.data; }

const void *flotilla_job_args_msgpack(const struct flotilla_job *job, size_t *len)
{
	*len = job->args_msgpack.len;
	return job->args_msgpack.data;
}

/* While a job runs the worker says nothing but `cancel`. */
bool flotilla_job_stopping(struct flotilla_job *job)
{
	while (!job->stopping && wire_waiting(job->wire)) {
		msgpack_unpacked message;
		if (!wire_read(job->wire, &message)) {
			job->stopping = true;
			break;
		}
		job->stopping = wire_int(&message.data, "seq") == job->seq;
		msgpack_unpacked_destroy(&message);
	}
	return job->stopping;
}

void flotilla_job_progress(struct flotilla_job *job, const char *text) { wire_progress(job->wire, job->seq, text); }

int flotilla_job_result(struct flotilla_job *job, const char *json)
{
	struct err err;

	buf_reset(&job->result);
	if (json_to_msgpack(json, strlen(json), JOB_MAX_DEPTH, &job->result, &err) == 0)
		return 0;
	buf_reset(&job->result);
	fprintf(stderr, "flotilla_job_result: %s\n", err.text);
	return -1;
}

static void set_error(struct flotilla_job *job, const char *format, va_list ap)
{
	struct buf text = BUF_INIT;

	buf_vaddf(&text, format, ap);
	free(job->error);
	job->error = buf_detach(&text);
}

int flotilla_job_fail(struct flotilla_job *job, const char *format, ...)
{
	va_list ap;
	va_start(ap, format);
	set_error(job, format, ap);
	va_end(ap);
	return -1;
}

int flotilla_job_refuse(struct flotilla_job *job, const char *format, ...)
{
	va_list ap;
	va_start(ap, format);
	set_error(job, format, ap);
	va_end(ap);
	job->bad_argument = true;
	return -1;
}

static void take_json(const msgpack_object *message, const char *key, const char *none, struct buf *ret)
{
	const msgpack_object *value = wire_member(message, key);
	struct err err;

	if (value && msgpack_to_json(value, ret, &err) == 0)
		return;
	buf_reset(ret);
	buf_adds(ret, none);
}

static void take_msgpack(const msgpack_object *message, struct buf *ret)
{
	const msgpack_object *args = wire_member(message, "args");
	msgpack_sbuffer buffer;
	msgpack_packer packer;

	msgpack_sbuffer_init(&buffer);
	msgpack_packer_init(&packer, &buffer, msgpack_sbuffer_write);
	if (args)
		msgpack_pack_object(&packer, *args);
	else
		msgpack_pack_nil(&packer);
	buf_add(ret, buffer.data, buffer.size);
	msgpack_sbuffer_destroy(&buffer);
}

static void load(struct flotilla_job *job, const msgpack_object *message)
{
	job->seq = wire_int(message, "seq");
	job->attempt = wire_int(message, "attempt");
	job->id = wire_text(message, "id");
	job->task = wire_text(message, "task");
	job->run = wire_text(message, "run");
	take_json(message, "args", "null", &job->args_json);
	take_json(message, "results", "{}", &job->results_json);
	take_msgpack(message, &job->args_msgpack);
}

static void release(struct flotilla_job *job)
{
	free(job->id);
	free(job->task);
	free(job->run);
	free(job->error);
	buf_release(&job->args_json);
	buf_release(&job->args_msgpack);
	buf_release(&job->results_json);
	buf_release(&job->result);
}

void runner_run(struct wire *wire, const struct flotilla_handler *handler, void *state, const msgpack_object *message)
{
	struct flotilla_job job = {.wire = wire};
	int r;

	load(&job, message);
	FAULT_POINT(RUNNER_RECEIVED);
	r = handler->run(&job, state);
	fflush(NULL);
	FAULT_POINT(RUNNER_RAN);
	if (r == 0)
		wire_result(wire, job.seq, &job.result);
	else
		wire_error(wire, job.seq, job.error ? job.error : "the handler failed and gave no reason",
			   job.bad_argument);
	FAULT_POINT(RUNNER_ANSWERED);
	release(&job);
}
