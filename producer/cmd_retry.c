#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "cause.h"
#include "commands.h"
#include "record.h"
#include "session.h"

enum { OPT_RUN = 0x1000, OPT_FAILED };
#define AT_ONCE 100

static const struct argp_option options_[] = {
	{"run", OPT_RUN, "RUN", 0, "jobs of a run, with --failed", 0},
	{"failed", OPT_FAILED, 0, 0, "with --run: all that failed", 0},
	{0},
};

struct options {
	const char *run;
	bool failed;
};

static int take(void *data, int key, const char *value, struct err *err)
{
	struct options *options = data;

	if (key == OPT_FAILED) {
		options->failed = true;
		return 0;
	}
	options->run = value;
	return check_id(value, err);
}

struct retrying;
struct one {
	struct retrying *all;
	const char *id;
	bool skipped;
};

struct retrying {
	struct session *session;
	const struct ids *ids;
	struct one *jobs;
	size_t sent, answered, unknown, failures;
};

static void on_retried(void *data, const struct store_reply *reply)
{
	struct one *one = data;
	const char *word = store_text_at(reply, 0);

	one->all->answered++;
	if (strcmp(word, "revived") == 0) {
		printf("%s: tried again\n", one->id);
	} else if (strcmp(word, "skipped") == 0) {
		one->skipped = true;
	} else if (strcmp(word, "not") == 0) {
		printf("%s: is %s; only what failed, was cancelled or expired is tried again\n", one->id,
		       store_text_at(reply, 1));
	} else if (strcmp(word, "gone") == 0) {
		fprintf(stderr, "flotilla retry: nobody knows a job %s\n", one->id);
		one->all->unknown++;
	} else {
		fprintf(stderr, "flotilla retry: %s: %s\n", one->id,
			store_reply_error(reply) ? store_reply_error(reply) : "it could not be retried; try again");
		one->all->failures++;
	}
}

static bool all_answered(void *data)
{
	struct retrying *all = data;

	for (; all->sent < all->ids->count && fleet_busy(all->session->fleet) < AT_ONCE; all->sent++) {
		struct one *one = &all->jobs[all->sent];
		*one = (struct one){.all = all, .id = all->ids->at[all->sent]};
		fleet_retry(all->session->fleet, one->id, on_retried, one);
	}
	return all->answered == all->ids->count;
}

static int explain_skipped(struct session *session, const char *id, struct err *err)
{
	CLEANUP(cause_release) struct cause cause = {0};
	const char *root;

	if (cause_find(session, id, &cause, err) < 0)
		return err->code;
	root = cause_to_retry(&cause);
	if (root)
		fprintf(stderr,
			"flotilla retry: %s was skipped because %s ended as %s; retry that one: flotilla retry %s\n",
			id, root, cause.steps[cause.count - 1].state, root);
	else if (cause.count)
		fprintf(stderr, "flotilla retry: %s was skipped because %s ended as %s; there is nothing to retry\n",
			id, cause.steps[cause.count - 1].id, cause.steps[cause.count - 1].state);
	else
		fprintf(stderr,
			"flotilla retry: %s was skipped for a predecessor that is kept no more; submit it anew\n", id);
	return 0;
}

static int retry(struct session *session, const struct ids *ids, struct err *err)
{
	CLEANUP(freep) struct one *jobs = xcalloc(ids->count + 1, sizeof *jobs);
	struct retrying all = {.session = session, .ids = ids, .jobs = jobs};
	bool skipped = false;
	int r = session_run(session, all_answered, &all, -1, err);

	fflush(stdout);
	if (r == 0 && session_finish(session, err) < 0)
		r = err_prefix(err, "the retry stands, invitations are owed");
	for (size_t i = 0; i < ids->count && r == 0; i++)
		if (jobs[i].skipped) {
			skipped = true;
			r = explain_skipped(session, jobs[i].id, err);
		}
	if (r < 0)
		return r;
	if (skipped)
		return err_exit_code(ERR_INPUT);
	return all.unknown ? err_exit_code(ERR_NOT_FOUND) : all.failures ? EXIT_NOT_SUCCEEDED : EXIT_OK;
}

struct choice {
	const struct ids *of_run;
	struct ids *failed;
};

static void on_record(void *data, size_t index, const struct store_reply *record)
{
	struct choice *choice = data;

	if (record_state(record) == JOB_FAILED)
		ids_add(choice->failed, choice->of_run->at[index]);
}

static int failed_of_run(struct session *session, const char *run, struct ids *ret, struct err *err)
{
	CLEANUP(ids_release) struct ids ids = {0};
	struct choice choice = {&ids, ret};

	if (session_ids_of_run(session, run, &ids, err) < 0)
		return err->code;
	if (ids.count == 0)
		return err_set(err, ERR_NOT_FOUND, "nobody knows a run %s", run);
	return session_each(session, "HGETALL", KEY_JOB, (const char *const *)ids.at, ids.count, on_record, &choice,
			    err);
}

static int exec(struct app *app, void *data, struct err *err)
{
	const struct options *options = data;
	CLEANUP(ids_release) struct ids ids = {0};
	CLEANUP(session_close) struct session session = {0};

	if ((app->arg_count > 0) == (options->run != NULL) || (options->run != NULL) != options->failed)
		return err_set(err, ERR_USAGE, "name either jobs or --run RUN --failed; see flotilla retry --help");
	if (check_ids(app, err) < 0 || session_open(&session, app, err) < 0 || session_open_fleet(&session, err) < 0)
		return err->code;
	for (size_t i = 0; i < app->arg_count; i++)
		ids_add(&ids, app->args[i]);
	if (options->run && failed_of_run(&session, options->run, &ids, err) < 0)
		return err->code;
	if (ids.count == 0)
		printf("%s: no job of it has failed\n", options->run);
	return retry(&session, &ids, err);
}

const struct command command_retry = {
	.name = "retry",
	.args = "ID... | --run RUN --failed",
	.help = "try jobs again that failed, were cancelled or expired",
	.more = "Jobs that were skipped for them live again. For a skipped job it names the one to retry (exit 2).",
	.options = options_,
	.take = take,
	.options_size = sizeof(struct options),
	.max_args = SIZE_MAX,
	.exec = exec,
};
