/* Builds the job's map as a client would and sends it through the same checks, then registers it. */
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fault.h"
#include "commands.h"
#include "follow.h"
#include "input.h"
#include "job/json.h"
#include "pack.h"
#include "submission.h"

enum {
	OPT_ARGS = 0x1000,
	OPT_ID,
	OPT_POOL,
	OPT_PRIORITY,
	OPT_AFTER,
	OPT_DEDUP,
	OPT_REUSE,
	OPT_RETRIES,
	OPT_BACKOFF,
	OPT_TIMEOUT,
	OPT_DELAY,
	OPT_EXPIRES,
	OPT_KEEP,
	OPT_ENV,
	OPT_RUN,
	OPT_LABEL,
	OPT_WAIT
};

static const struct argp_option options_[] = {
	{"args", OPT_ARGS, "JSON", 0, "the task's input; - reads it from standard input", 0},
	{"id", OPT_ID, "ID", 0, "the job's id; one that is known registers nothing new", 0},
	{"pool", OPT_POOL, "POOL", 0, "whose workers run it (default: default)", 0},
	{"priority", OPT_PRIORITY, "PRIORITY", 0, "high, normal or low (default: normal)", 0},
	{"after", OPT_AFTER, "ID[:WHEN]", 0, "a predecessor; WHEN: succeeded (default), failed, ended; may be repeated",
	 0},
	{"dedup", OPT_DEDUP, "KEY", 0, "join a job with this key that has not ended", 0},
	{"reuse", OPT_REUSE, 0, 0, "with --dedup: join also one that succeeded", 0},
	{"retries", OPT_RETRIES, "N", 0, "further attempts after a failed one", 0},
	{"backoff", OPT_BACKOFF, "DUR", 0, "before the first retry; doubles at each", 0},
	{"timeout", OPT_TIMEOUT, "DUR", 0, "for one attempt", 0},
	{"delay", OPT_DELAY, "DUR", 0, "not before this long from now", 0},
	{"expires", OPT_EXPIRES, "DUR", 0, "give up when it has not started this long from now", 0},
	{"keep", OPT_KEEP, "DUR", 0, "how long it is kept after its end (default: 24h)", 0},
	{"env", OPT_ENV, "NAME=VALUE", 0, "extra environment; may be repeated", 0},
	{"run", OPT_RUN, "RUN", 0, "the run it belongs to", 0},
	{"label", OPT_LABEL, "NAME=VALUE", 0, "a label, for people; may be repeated", 0},
	{"wait", OPT_WAIT, 0, 0, "wait for its end; exit 0 only if it succeeded", 0},
	{0},
};

struct options {
	const char *args, *id, *pool, *priority, *dedup, *run;
	struct texts after, env, labels;
	struct pack numbers;
	int64_t expires_ms;
	bool expires, reuse, wait;
};

static void release(void *data)
{
	struct options *options = data;

	texts_release(&options->after);
	texts_release(&options->env);
	texts_release(&options->labels);
	pack_release(&options->numbers);
}

/* Milliseconds, or whole seconds, rounded up. */
static int take_time(struct options *options, const char *field, bool seconds, const char *value, struct err *err)
{
	int64_t ms;

	if (take_duration(value, &ms, err) < 0)
		return err->code;
	pack_int(&options->numbers, field, seconds ? (ms + 999) / 1000 : ms);
	return 0;
}

static int take_retries(struct options *options, const char *value, struct err *err)
{
	int64_t retries;

	if (take_int(value, 0, 1000, &retries, err) < 0)
		return err->code;
	pack_int(&options->numbers, "retries", retries);
	return 0;
}

static int take(void *data, int key, const char *value, struct err *err)
{
	struct options *options = data;

	switch (key) {
	case OPT_ARGS: options->args = value; break;
	case OPT_ID: options->id = value; break;
	case OPT_POOL: options->pool = value; break;
	case OPT_PRIORITY: options->priority = value; break;
	case OPT_AFTER: texts_add(&options->after, value); break;
	case OPT_DEDUP: options->dedup = value; break;
	case OPT_REUSE: options->reuse = true; break;
	case OPT_RETRIES: return take_retries(options, value, err);
	case OPT_BACKOFF: return take_time(options, "backoff_ms", false, value, err);
	case OPT_TIMEOUT: return take_time(options, "timeout_ms", false, value, err);
	case OPT_DELAY: return take_time(options, "delay_ms", false, value, err);
	case OPT_KEEP: return take_time(options, "keep_s", true, value, err);
	case OPT_EXPIRES: options->expires = true; return take_duration(value, &options->expires_ms, err);
	case OPT_ENV: texts_add(&options->env, value); break;
	case OPT_RUN: options->run = value; break;
	case OPT_LABEL: texts_add(&options->labels, value); break;
	case OPT_WAIT: options->wait = true; break;
	}
	return 0;
}

/* --- the map --- */

static void add_text(struct pack *pack, const char *key, const char *value)
{
	if (value)
		pack_text(pack, key, value);
}

static int add_args(const struct options *options, struct pack *pack, struct err *err)
{
	CLEANUP(buf_release) struct buf text = BUF_INIT, packed = BUF_INIT;
	int r = 0;

	if (!options->args)
		return 0;
	if (strcmp(options->args, "-") == 0)
		r = input_read("-", &text, err);
	else
		buf_adds(&text, options->args);
	if (r == 0)
		r = json_to_msgpack(text.data ? text.data : "", text.len, JOB_MAX_DEPTH - 1, &packed, err);
	if (r < 0) {
		err_prefix(err, "--args");
		return err->code = ERR_USAGE;
	}
	pack_value(pack, "args", &packed);
	return 0;
}

/* NAME=VALUE texts as a map. */
static int add_pairs(struct pack *pack, const char *key, const char *option, const struct texts *texts, struct err *err)
{
	CLEANUP(pack_release) struct pack map = {BUF_INIT, 0};

	for (size_t i = 0; i < texts->count; i++) {
		const char *equals = strchr(texts->at[i], '=');
		CLEANUP(freep) char *name = NULL;
		if (!equals || equals == texts->at[i])
			return err_set(err, ERR_USAGE, "%s: '%s' is not NAME=VALUE", option, texts->at[i]);
		name = xmemdup0(texts->at[i], (size_t)(equals - texts->at[i]));
		pack_text(&map, name, equals + 1);
	}
	if (map.count)
		pack_map(pack, key, &map);
	return 0;
}

static void add_after(struct pack *pack, const struct texts *after)
{
	CLEANUP(buf_release) struct buf list = BUF_INIT;

	if (after->count == 0)
		return;
	pack_array_header(&list, after->count);
	for (size_t i = 0; i < after->count; i++) {
		CLEANUP(pack_release) struct pack edge = {BUF_INIT, 0};
		const char *colon = strchr(after->at[i], ':');
		CLEANUP(freep) char *id = xmemdup0(after->at[i], strcspn(after->at[i], ":"));
		pack_text(&edge, "id", id);
		add_text(&edge, "when", colon ? colon + 1 : NULL);
		pack_write(&edge, &list);
	}
	pack_value(pack, "after", &list);
}

static int build(struct session *session, struct app *app, const struct options *options, struct pack *pack,
		 struct err *err)
{
	int64_t now;

	pack_int(pack, "v", 1);
	pack_text(pack, "task", app->args[0]);
	add_text(pack, "id", options->id);
	add_text(pack, "pool", options->pool);
	add_text(pack, "priority", options->priority);
	add_text(pack, "dedup", options->dedup);
	add_text(pack, "run", options->run);
	add_after(pack, &options->after);
	if (options->reuse)
		pack_true(pack, "reuse");
	if (app->rest)
		pack_texts(pack, "argv", (const char *const *)app->rest, app->rest_count);
	if (options->expires && session->store) {
		if (session_now(session, &now, err) < 0)
			return err->code;
		pack_int(pack, "expires_at", now + options->expires_ms);
	}
	if (options->numbers.count)
		buf_add(&pack->body, options->numbers.body.data, options->numbers.body.len);
	pack->count += options->numbers.count;
	if (add_pairs(pack, "env", "--env", &options->env, err) < 0)
		return err->code;
	return add_pairs(pack, "labels", "--label", &options->labels, err);
}

static int decode(struct session *session, struct app *app, const struct options *options, const struct pack *args,
		  struct job *ret, struct err *err)
{
	CLEANUP(pack_release) struct pack pack = {BUF_INIT, 0};
	CLEANUP(buf_release) struct buf map = BUF_INIT;
	int r;

	if (args->count) {
		buf_add(&pack.body, args->body.data, args->body.len);
		pack.count = args->count;
	}
	r = build(session, app, options, &pack, err);
	if (r < 0)
		return r;
	pack_write(&pack, &map);
	r = submission_decode(session, map.data, map.len, ret, err);
	if (r == 0 && !ret->id)
		job_make_id(ret);
	return r;
}

/* --- the way in --- */

struct admission {
	bool done, known;
	char state[24];
	struct err err;
};

static void on_admitted(void *data, const struct fleet_admission *said)
{
	struct admission *admission = data;

	admission->done = true;
	admission->known = said->known;
	snprintf(admission->state, sizeof admission->state, "%s", said->state);
	if (said->error)
		err_set(&admission->err, ERR_INPUT, "%s%s", said->foreign ? "" : "Redis says: ", said->error);
}

static bool is_admitted(void *data) { return ((struct admission *)data)->done; }

static int admit(struct session *session, const struct job *job, struct err *err)
{
	struct admission admission = {0};
	int r;

	fleet_admit(session->fleet, job, true, on_admitted, &admission);
	r = session_run(session, is_admitted, &admission, -1, err);
	if (r < 0) {
		err_prefix(err, "job %s may be registered or not; submitting again with --id %s is safe", job->id,
			   job->id);
		return r;
	}
	if (admission.err.code)
		return *err = admission.err, err->code;
	FAULT_POINT(SUBMIT_REGISTERED);
	if (session_finish(session, err) < 0) {
		err_prefix(err,
			   "job %s is registered and its invitation is owed; submitting again with --id %s is safe",
			   job->id, job->id);
		return err->code;
	}
	if (admission.known)
		fprintf(stderr, "flotilla submit: %s is already known, state %s; nothing new was registered\n", job->id,
			admission.state);
	printf("%s\n", job->id);
	fflush(stdout);
	return 0;
}

/* With a service away the id is named all the same: submitting again with it is safe. */
static int open_services(struct session *session, struct app *app, const struct job *job, struct err *err)
{
	int r = session_open(session, app, err);

	if (r == 0)
		r = session_open_fleet(session, err);
	if (r == ERR_SERVICE)
		err_prefix(err, "job %s is not registered; submitting again with --id %s is safe", job->id, job->id);
	return r;
}

/* Once without the services, so that bad input is told at once; again with them where Redis' time goes into the job. */
static int submit(struct session *session, struct app *app, struct options *options, const struct pack *args,
		  struct job *job, struct err *err)
{
	CLEANUP(freep) char *id = NULL;
	int r = decode(session, app, options, args, job, err);

	if (r < 0)
		return r;
	r = open_services(session, app, job, err);
	if (r < 0)
		return r;
	if (options->expires) {
		options->id = id = xstrdup(job->id);
		job_release(job);
		r = decode(session, app, options, args, job, err);
		options->id = NULL;
	}
	return r < 0 ? r : admit(session, job, err);
}

static int exec(struct app *app, void *data, struct err *err)
{
	struct options *options = data;
	CLEANUP(session_close) struct session session = {0};
	CLEANUP(job_release) struct job job = {0};
	CLEANUP(pack_release) struct pack args = {BUF_INIT, 0};
	int r = add_args(options, &args, err);

	session.app = app;
	session.limits = app->limits;
	if (r == 0)
		r = submit(&session, app, options, &args, &job, err);
	if (r < 0 || !options->wait)
		return r;
	return follow_one(&session, job.id, err);
}

const struct command command_submit = {
	.name = "submit",
	.args = "TASK [-- ARGV...]",
	.help = "submit a job; prints its id",
	.more = "Durations: 500ms, 10s, 5m, 2h, 1d. What stands behind -- is the command line, for tasks that take one "
		"(exec).",
	.options = options_,
	.take = take,
	.options_size = sizeof(struct options),
	.release = release,
	.min_args = 1,
	.max_args = 1,
	.rest = true,
	.exec = exec,
};
