/* Repairs of jobs. Each is one idempotent script, or a flow that workers and the command use themselves; what it is
 * needed for is checked again in there. What became of it shows at the look behind. */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "doctor/doctor.h"

#define LEASE_TEXT "10000"
#define MAX_LOST "5"

struct task {
	struct doctor *doctor;
	struct finding *finding;
	void (*then)(struct task *task); /* NULL: nothing */
};

static struct task *task_new(struct doctor *doctor, struct finding *finding, void (*then)(struct task *task))
{
	struct task *task = xmalloc(sizeof *task);

	*task = (struct task){doctor, finding, then};
	return task;
}

static void resume(struct doctor *doctor, const char *id) { fleet_resume(doctor->session->fleet, id, NULL, NULL); }

/* --- mend.lua --- */

static void on_mended(void *data, const struct store_reply *reply)
{
	struct task *task = data;
	const struct store_reply *did = store_reply_at(reply, 1);

	for (size_t i = 0; i < store_reply_count(did); i++)
		mend_did(task->finding, store_text_at(did, i));
	if (task->then)
		task->then(task);
	free(task);
}

static void mend_script(struct doctor *doctor, struct finding *finding, const struct job *spec,
			void (*then)(struct task *task))
{
	size_t count = spec ? spec->after_count : 0, n = 0;
	CLEANUP(freep) struct store_arg *args = xcalloc(2 + 2 * count, sizeof *args);

	args[n++] = STORE_TEXT(LEASE_TEXT);
	args[n++] = STORE_TEXT(spec ? "1" : "");
	for (size_t i = 0; i < count; i++) {
		args[n++] = STORE_TEXT(spec->after[i].id);
		args[n++] = STORE_TEXT(job_when_name(spec->after[i].when));
	}
	store_script(doctor->session->store, "mend", finding->id, NULL, args, n, on_mended,
		     task_new(doctor, finding, then));
}

void mend_job(struct doctor *doctor, struct finding *finding, int round)
{
	(void)round;
	mend_script(doctor, finding, NULL, NULL);
}

/* --- what fleet_resume finishes: a registration, or an end --- */

void mend_resume(struct doctor *doctor, struct finding *finding, int round)
{
	(void)round;
	resume(doctor, finding->id);
	mend_did(finding, "finished");
}

static void resume_it(struct task *task) { resume(task->doctor, task->finding->id); }

void mend_resume_listed(struct doctor *doctor, struct finding *finding, int round)
{
	(void)round;
	mend_script(doctor, finding, NULL, resume_it);
}

/* --- registered again --- */

/* Where nothing is left of what the job waited for, only its spec says what that was. A predecessor that Redis does not
 * know may have ended as asked, or never have come: then it is not for us to say that the job may run. */
static bool all_known(struct doctor *doctor, const struct job *job)
{
	for (size_t i = 0; i < job->after_count; i++) {
		struct err err;
		CLEANUP(store_reply_freep)
		struct store_reply *there = doctor_one(doctor, &err, "EXISTS %k", KEY_JOB, job->after[i].id);
		if (!there || store_reply_int(there) != 1)
			return false;
	}
	return true;
}

void mend_again(struct doctor *doctor, struct finding *finding, int round)
{
	struct err err;
	CLEANUP(store_reply_freep) struct store_reply *spec = doctor_one(doctor, &err, "GET %k", KEY_SPEC, finding->id);
	struct job job;
	const char *text;
	size_t len;

	(void)round;
	text = store_reply_text(spec, &len);
	if (!spec || job_decode_spec(&job, text, len, finding->id, NULL, NULL, &doctor->session->limits, &err) < 0)
		return;
	if (finding->kind != KIND_WAITS_FOR_NOTHING || all_known(doctor, &job))
		mend_script(doctor, finding, &job, resume_it);
	job_release(&job);
}

/* First the end of its predecessor is told to all once more; whoever is not among them is registered again. */
void mend_not_told(struct doctor *doctor, struct finding *finding, int round)
{
	const char *pred = strchr(finding->sign, ' ');

	if (round > 0 || !pred) {
		mend_again(doctor, finding, round);
		return;
	}
	resume(doctor, pred + 1);
	mend_did(finding, "told");
}

/* --- what is overdue --- */

static void on_followed(void *data, const struct store_reply *reply)
{
	struct task *task = data;

	if (fleet_follow(task->doctor->session->fleet, task->finding->id, NULL, reply))
		mend_did(task->finding, strcmp(store_text_at(reply, 0), "ended") == 0 ? "ended" : "queued");
	free(task);
}

static void follow(struct doctor *doctor, struct finding *finding, const char *script, const struct store_arg *args,
		   size_t count)
{
	store_script(doctor->session->store, script, finding->id, NULL, args, count, on_followed,
		     task_new(doctor, finding, NULL));
}

void mend_due(struct doctor *doctor, struct finding *finding, int round)
{
	(void)round;
	follow(doctor, finding, "due", NULL, 0);
}

void mend_expire(struct doctor *doctor, struct finding *finding, int round)
{
	(void)round;
	follow(doctor, finding, "expire", NULL, 0);
}

/* The sign is the lease and the token that were seen at two looks; lose.lua compares both. A session that is younger
 * than a lease may be one with a Redis that was away, whose workers could not renew: that one is given the time. */
void mend_lose(struct doctor *doctor, struct finding *finding, int round)
{
	size_t lease = strcspn(finding->sign, " ");
	const char *token = finding->sign + lease + (finding->sign[lease] == ' ');
	const struct store_arg args[] = {STORE_BYTES(token, strcspn(token, " ")), STORE_BYTES(finding->sign, lease),
					 STORE_TEXT(MAX_LOST)};

	(void)round;
	follow(doctor, finding, "lose", args, 3);
}

static void on_owed(void *data, const struct store_reply *reply)
{
	struct task *task = data;

	if (fleet_follow(task->doctor->session->fleet, task->finding->id, NULL, reply))
		mend_did(task->finding, "invited");
	free(task);
}

void mend_owe(struct doctor *doctor, struct finding *finding, int round)
{
	(void)round;
	store_script(doctor->session->store, "owe", finding->id, NULL, NULL, 0, on_owed,
		     task_new(doctor, finding, NULL));
}

static void send_replies(struct task *task) { fleet_reply(task->doctor->session->fleet, task->finding->id); }

void mend_replies(struct doctor *doctor, struct finding *finding, int round)
{
	(void)round;
	mend_did(finding, "sent");
	mend_script(doctor, finding, NULL, send_replies);
}
