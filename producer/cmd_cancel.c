#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "commands.h"
#include "session.h"

enum { OPT_RUN = 0x1000 };
#define AT_ONCE 500

static const struct argp_option options_[] = {
	{"run", OPT_RUN, "RUN", 0, "all jobs of a run", 0},
	{0},
};

struct options {
	const char *run;
};

static int take(void *data, int key, const char *value, struct err *err)
{
	(void)key;
	((struct options *)data)->run = value;
	return check_id(value, err);
}

struct cancelling;
struct one {
	struct cancelling *all;
	const char *id;
	struct ids joined; /* by dedup key: they end with it */
};

struct cancelling {
	struct session *session;
	const struct ids *ids;
	struct one *jobs;
	size_t sent, answered, unknown, cancelled, asked;
	bool quiet; /* a whole run: only the sums */
};

static void say_joined(const struct one *one)
{
	for (size_t i = 0; i < one->joined.count; i++)
		printf("%s: cancelled too, it had joined %s\n", one->joined.at[i], one->id);
}

static void say(const struct one *one, const char *word, const struct store_reply *reply)
{
	if (strcmp(word, "ended") == 0) {
		printf("%s: cancelled\n", one->id);
		say_joined(one);
	} else if (strcmp(word, "asked") == 0) {
		printf("%s: is running on %s, which has been asked to end it\n", one->id, store_text_at(reply, 1));
		say_joined(one);
	} else if (strcmp(word, "already") == 0) {
		printf("%s: has ended already, %s\n", one->id, store_text_at(reply, 1));
	} else if (strcmp(word, "gone") == 0) {
		fprintf(stderr, "flotilla cancel: nobody knows a job %s\n", one->id);
	} else {
		fprintf(stderr, "flotilla cancel: %s: %s\n", one->id,
			store_reply_error(reply) ? store_reply_error(reply) : "no answer that is known");
	}
}

static void on_cancelled(void *data, const struct store_reply *reply)
{
	struct one *one = data;
	struct cancelling *all = one->all;
	const char *word = store_text_at(reply, 0);

	all->answered++;
	all->cancelled += strcmp(word, "ended") == 0;
	all->asked += strcmp(word, "asked") == 0;
	all->unknown += strcmp(word, "gone") == 0;
	if (!all->quiet)
		say(one, word, reply);
	ids_release(&one->joined);
}

static void read_dependents(struct one *one, const char *cursor);

static void on_dependents(void *data, const struct store_reply *reply)
{
	struct one *one = data;
	const struct store_reply *batch = store_reply_at(reply, 1);
	const char *cursor = store_text_at(reply, 0);

	for (size_t i = 0; i + 1 < store_reply_count(batch); i += 2)
		if (strcmp(store_text_at(batch, i + 1), "duplicate") == 0)
			ids_add(&one->joined, store_text_at(batch, i));
	if (cursor[0] && strcmp(cursor, "0") != 0)
		read_dependents(one, cursor);
	else
		fleet_cancel(one->all->session->fleet, one->id, on_cancelled, one);
}

static void read_dependents(struct one *one, const char *cursor)
{
	store_format(one->all->session->store, on_dependents, one, "HSCAN %k %s COUNT 500", KEY_DEPENDENTS, one->id,
		     cursor);
}

static bool all_answered(void *data)
{
	struct cancelling *all = data;

	for (; all->sent < all->ids->count && all->sent - all->answered < AT_ONCE &&
	       fleet_busy(all->session->fleet) < AT_ONCE;
	     all->sent++) {
		struct one *one = &all->jobs[all->sent];
		*one = (struct one){.all = all, .id = all->ids->at[all->sent]};
		if (all->quiet)
			fleet_cancel(all->session->fleet, one->id, on_cancelled, one);
		else
			read_dependents(one, "0");
	}
	return all->answered == all->ids->count;
}

static int cancel(struct session *session, const struct ids *ids, const char *run, struct err *err)
{
	CLEANUP(freep) struct one *jobs = xcalloc(ids->count + 1, sizeof *jobs);
	struct cancelling all = {.session = session, .ids = ids, .jobs = jobs, .quiet = run != NULL};
	int r = session_run(session, all_answered, &all, -1, err);

	fflush(stdout);
	if (r == 0 && session_finish(session, err) < 0)
		r = err_prefix(err, "the cancellation stands, what it made ready is owed");
	if (r < 0)
		return r;
	if (run)
		printf("%s: %zu cancelled, %zu running that have been asked to end, %zu had ended\n", run,
		       all.cancelled, all.asked, all.answered - all.cancelled - all.asked);
	return all.unknown && !run ? err_exit_code(ERR_NOT_FOUND) : EXIT_OK;
}

static int exec(struct app *app, void *data, struct err *err)
{
	const struct options *options = data;
	CLEANUP(ids_release) struct ids ids = {0};
	CLEANUP(session_close) struct session session = {0};

	if ((app->arg_count > 0) == (options->run != NULL))
		return err_set(err, ERR_USAGE, "name either jobs or --run RUN; see flotilla cancel --help");
	if (check_ids(app, err) < 0 || session_open(&session, app, err) < 0 || session_open_fleet(&session, err) < 0)
		return err->code;
	for (size_t i = 0; i < app->arg_count; i++)
		ids_add(&ids, app->args[i]);
	if (options->run && session_ids_of_run(&session, options->run, &ids, err) < 0)
		return err->code;
	if (ids.count == 0)
		return err_set(err, ERR_NOT_FOUND, "nobody knows a run %s", options->run);
	return cancel(&session, &ids, options->run, err);
}

const struct command command_cancel = {
	.name = "cancel",
	.args = "ID... | --run RUN",
	.help = "cancel jobs, or all jobs of a run",
	.more = "A job that runs is ended by its worker. One that has ended stays as it is.",
	.options = options_,
	.take = take,
	.options_size = sizeof(struct options),
	.max_args = SIZE_MAX,
	.exec = exec,
};
