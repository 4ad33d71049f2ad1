/* Thousands of registrations at once, but never so many that memory or RabbitMQ's confirms cannot follow. */
#include <stdlib.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/fault.h"
#include "run.h"
#include "submission.h"

#define AT_ONCE 2000

struct submitting {
	struct run *run;
	struct progress *progress;
	int64_t now_ms; /* Redis' clock at the beginning */
	struct err err;
};

static void on_admitted(void *data, const struct fleet_admission *admission)
{
	struct run *run = data;

	run->submitted++;
	run->known += admission->known;
	if (admission->error && !run->failure.code)
		err_set(&run->failure, ERR_INPUT, "%s%s", admission->foreign ? "" : "Redis says: ", admission->error);
}

static int submit_next(struct submitting *submitting)
{
	struct run *run = submitting->run;
	CLEANUP(buf_release) struct buf spec = BUF_INIT;
	CLEANUP(job_release) struct job job = {0};

	if (workflow_spec(run->workflow, run->sent, run->name, submitting->now_ms, run->shared_dir, &spec,
			  &submitting->err) < 0)
		return submitting->err.code;
	if (submission_decode(run->session, spec.data, spec.len, &job, &submitting->err) < 0)
		return err_prefix(&submitting->err, "job %s", run->workflow->jobs[run->sent].name);
	FAULT_POINT(RUN_SUBMITTING);
	run->sent++;
	fleet_admit(run->session->fleet, &job, true, on_admitted, run);
	return 0;
}

static bool is_submitted(void *data)
{
	struct submitting *submitting = data;
	struct run *run = submitting->run;

	while (run->sent < run->workflow->count && fleet_busy(run->session->fleet) < AT_ONCE && !run->failure.code)
		if (submit_next(submitting) < 0)
			return true;
	if (submitting->progress)
		progress_submitting(submitting->progress, run->submitted);
	return run->failure.code || run->submitted == run->workflow->count;
}

int run_submit(struct run *run, struct progress *progress, struct err *err)
{
	struct submitting submitting = {.run = run, .progress = progress};
	int r = session_now(run->session, &submitting.now_ms, err);

	FAULT_POINT(RUN_NAMED);
	if (r == 0)
		r = session_run(run->session, is_submitted, &submitting, -1, err);
	FAULT_POINT(RUN_SUBMITTED);
	if (r == 0 && submitting.err.code) {
		*err = submitting.err;
		return err->code;
	}
	if (r == 0 && run->failure.code) {
		*err = run->failure;
		r = err->code;
	}
	if (r < 0)
		err_prefix(err, "%zu of %zu jobs of %s are submitted; running it again with --name %s goes on",
			   run->submitted, run->workflow->count, run->name, run->name);
	return r;
}
