/* All jobs are read, some thousand at a time; the newest that match are kept. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/duration.h"
#include "commands.h"
#include "out.h"
#include "record.h"
#include "session.h"

enum { OPT_STATE = 0x1000, OPT_RUN, OPT_POOL, OPT_LIMIT, OPT_JSON };

static const struct argp_option options_[] = {
	{"state", OPT_STATE, "STATE", 0, "only jobs in this state", 0},
	{"run", OPT_RUN, "RUN", 0, "only jobs of this run", 0},
	{"pool", OPT_POOL, "POOL", 0, "only jobs of this pool", 0},
	{"limit", OPT_LIMIT, "N", 0, "at most N, the newest (default: 100)", 0},
	{"json", OPT_JSON, 0, 0, "a JSON document a line", 0},
	{0},
};

struct options {
	const char *state, *run, *pool;
	int64_t limit;
	bool json;
};

static int take_state(const char *value, struct err *err)
{
	if (job_state_parse(value, strlen(value)) >= 0)
		return 0;
	return err_set(err, ERR_USAGE,
		       "'%.40s' is no state: waiting, scheduled, queued, running, succeeded, failed, cancelled, "
		       "skipped, expired",
		       value);
}

static int take(void *data, int key, const char *value, struct err *err)
{
	struct options *options = data;

	switch (key) {
	case OPT_STATE: options->state = value; return take_state(value, err);
	case OPT_RUN: options->run = value; return check_id(value, err);
	case OPT_POOL: options->pool = value; return check_pool(value, err);
	case OPT_LIMIT: return take_int(value, 1, 10000000, &options->limit, err);
	default: options->json = true; return 0;
	}
}

struct row {
	char *id;
	struct store_reply *record;
	int64_t created_at;
};

struct listing {
	const struct options *options;
	const struct ids *ids; /* being read */
	struct session *session;
	struct row *rows;
	size_t count, room, limit;
};

static int newest_first(const void *a, const void *b)
{
	const struct row *x = a, *y = b;

	if (x->created_at != y->created_at)
		return x->created_at < y->created_at ? 1 : -1;
	return strcmp(x->id, y->id);
}

static void row_release(struct row *row)
{
	store_reply_free(row->record);
	free(row->id);
}

/* Of those that came twice, too, one. */
static void keep_newest(struct listing *listing)
{
	size_t kept = 0;

	if (listing->count == 0)
		return;
	qsort(listing->rows, listing->count, sizeof *listing->rows, newest_first);
	for (size_t i = 0; i < listing->count; i++) {
		struct row *row = &listing->rows[i];
		if (kept >= listing->limit || (kept && strcmp(listing->rows[kept - 1].id, row->id) == 0))
			row_release(row);
		else
			listing->rows[kept++] = *row;
	}
	listing->count = kept;
}

static bool matches(const struct options *options, const struct store_reply *record)
{
	if (record_state(record) < 0)
		return false;
	if (options->state && strcmp(record_text(record, "state"), options->state) != 0)
		return false;
	if (options->run && strcmp(record_text(record, "run"), options->run) != 0)
		return false;
	return !options->pool || strcmp(record_text(record, "pool"), options->pool) == 0;
}

static void on_record(void *data, size_t index, const struct store_reply *reply)
{
	struct listing *listing = data;

	if (!matches(listing->options, reply))
		return;
	if (listing->count == listing->room) {
		if (listing->count >= 2 * listing->limit)
			keep_newest(listing);
		if (listing->count == listing->room) {
			listing->room = listing->room ? 2 * listing->room : 64;
			listing->rows = xrealloc(listing->rows, listing->room * sizeof *listing->rows);
		}
	}
	listing->rows[listing->count++] = (struct row){xstrdup(listing->ids->at[index]), store_reply_copy(reply),
						       record_int(reply, "created_at", 0)};
}

static void print_table(const struct listing *listing, int64_t now)
{
	struct table table = {.columns = 7, .fancy = out_fancy(stdout), .state = 1, .right = "lllllrr"};
	static const char *const head[] = {"ID", "STATE", "TASK", "POOL", "PRIORITY", "ATTEMPT", "AGE"};
	char age[DURATION_TEXT];

	for (size_t i = 0; i < 7; i++)
		table_add(&table, head[i]);
	for (size_t i = 0; i < listing->count; i++) {
		const struct store_reply *record = listing->rows[i].record;
		table_add(&table, listing->rows[i].id);
		table_add(&table, record_text(record, "state"));
		table_add(&table, record_text(record, "task"));
		table_add(&table, record_text(record, "pool"));
		table_add(&table, record_text(record, "priority"));
		table_addf(&table, "%lld", (long long)record_int(record, "attempt", 0));
		age_format(now, listing->rows[i].created_at, age);
		table_add(&table, age);
	}
	table_print(&table, stdout);
	table_release(&table);
}

static void print_rows(const struct listing *listing, int64_t now)
{
	if (!listing->options->json) {
		print_table(listing, now);
		return;
	}
	for (size_t i = 0; i < listing->count; i++)
		out_json(record_json(listing->rows[i].id, listing->rows[i].record, NULL), stdout);
}

static int read_records(void *data, const struct ids *ids, struct err *err)
{
	struct listing *listing = data;

	listing->ids = ids;
	return session_each(listing->session, "HGETALL", KEY_JOB, (const char *const *)ids->at, ids->count, on_record,
			    listing, err);
}

static int read_run(struct listing *listing, const char *run, struct err *err)
{
	CLEANUP(ids_release) struct ids ids = {0};
	int r = session_ids_of_run(listing->session, run, &ids, err);

	return r < 0 ? r : read_records(listing, &ids, err);
}

static int list(struct listing *listing, struct err *err)
{
	struct session *session = listing->session;
	const char *run = listing->options->run;
	int64_t now = 0;
	int r = run ? read_run(listing, run, err) : session_ids_of_fleet(session, read_records, listing, err);

	if (r == 0)
		r = session_now(session, &now, err);
	if (r < 0)
		return r;
	keep_newest(listing);
	print_rows(listing, now);
	return EXIT_OK;
}

static int exec(struct app *app, void *data, struct err *err)
{
	const struct options *options = data;
	CLEANUP(session_close) struct session session = {0};
	struct listing listing = {
		.options = options, .session = &session, .limit = options->limit ? (size_t)options->limit : 100};
	int r = session_open(&session, app, err);

	if (r == 0)
		r = list(&listing, err);
	for (size_t i = 0; i < listing.count; i++)
		row_release(&listing.rows[i]);
	free(listing.rows);
	return r;
}

const struct command command_ls = {
	.name = "ls",
	.args = "",
	.help = "list jobs, the newest first",
	.options = options_,
	.take = take,
	.options_size = sizeof(struct options),
	.exec = exec,
};
