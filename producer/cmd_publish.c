/* Jobs from a file, a line each, on the way that any client's take: as messages. RabbitMQ has them safe, or they are
 * not printed; Redis is not asked, so a hundred thousand take no longer than RabbitMQ needs for them. The file is read
 * twice, so that nothing is published of one that has a bad line. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/keyring.h"
#include "commands.h"
#include "job/signature.h"
#include "session.h"

/* More than RabbitMQ is to confirm at once (session.c), so that it never waits for this. */
#define AT_ONCE 4000
#define JSON "application/json"

enum { OPT_POOL = 0x1000, OPT_PRIORITY, OPT_USER_ID };

static const struct argp_option options_[] = {
	{"pool", OPT_POOL, "POOL", 0, "of the jobs that name none (default: default)", 0},
	{"priority", OPT_PRIORITY, "PRIORITY", 0, "of the jobs that name none (default: normal)", 0},
	{"user-id", OPT_USER_ID, 0, 0,
	 "say in user_id who publishes, as workers with --require-user ask for: the user of --amqp", 0},
	{0},
};

struct options {
	const char *pool, *priority;
	bool user_id;
};

static int take(void *data, int key, const char *value, struct err *err)
{
	struct options *options = data;

	if (key == OPT_PRIORITY) {
		options->priority = value;
		return 0;
	}
	if (key == OPT_USER_ID) {
		options->user_id = true;
		return 0;
	}
	options->pool = value;
	return check_pool(value, err);
}

/* --- the file --- */

struct lines {
	const struct app *app;
	const struct options *options;
	const char *name; /* of the file */
	FILE *file;
	char *line;
	size_t size;
	uint64_t number;
};

/* What cannot be read twice is copied first. */
static int lines_open(struct lines *lines, struct err *err)
{
	CLEANUP(fclosep) FILE *stream = NULL;
	char block[65536];
	size_t n;

	lines->file = strcmp(lines->name, "-") == 0 ? fdopen(dup(STDIN_FILENO), "r") : fopen(lines->name, "re");
	if (!lines->file)
		return err_set(err, ERR_INPUT, "%s: cannot be opened: %s", lines->name, strerror(errno));
	if (fseeko(lines->file, 0, SEEK_CUR) == 0)
		return 0;
	stream = lines->file;
	lines->file = tmpfile();
	if (!lines->file)
		return err_set(err, ERR_SYSTEM, "a temporary file cannot be made: %s", strerror(errno));
	while ((n = fread(block, 1, sizeof block, stream)) > 0)
		if (fwrite(block, 1, n, lines->file) != n)
			return err_set(err, ERR_SYSTEM, "a temporary file cannot be written: %s", strerror(errno));
	if (ferror(stream))
		return err_set(err, ERR_INPUT, "%s: cannot be read", lines->name);
	rewind(lines->file);
	return 0;
}

static void lines_release(struct lines *lines)
{
	if (lines->file)
		fclose(lines->file);
	free(lines->line);
}

static int decode(const struct lines *lines, size_t len, struct job *ret, struct err *err)
{
	const struct options *options = lines->options;
	const struct job_message message = {
		.body = lines->line,
		.body_len = len,
		.content_type = JSON,
		.pool = options->pool ? options->pool : DEFAULT_POOL,
		.priority = options->priority ? options->priority : lines->app->default_priority,
	};

	if (job_decode(ret, &message, &lines->app->limits, err) < 0)
		return err_prefix(err, "%s:%llu", lines->name, (unsigned long long)lines->number);
	return 0;
}

/* The next line that is not blank, as a job: 1, or 0 at the end. */
static int lines_next(struct lines *lines, size_t *ret_len, struct job *ret, struct err *err)
{
	ssize_t len;

	while ((len = getline(&lines->line, &lines->size, lines->file)) >= 0) {
		lines->number++;
		if (strspn(lines->line, " \t\r\n") == (size_t)len)
			continue;
		*ret_len = (size_t)len;
		return decode(lines, (size_t)len, ret, err) < 0 ? err->code : 1;
	}
	if (ferror(lines->file))
		return err_set(err, ERR_INPUT, "%s: cannot be read", lines->name);
	return 0;
}

static int lines_check(struct lines *lines, struct err *err)
{
	size_t ignored;
	struct job job;
	int r;

	while ((r = lines_next(lines, &ignored, &job, err)) > 0)
		job_release(&job);
	rewind(lines->file);
	lines->number = 0;
	return r;
}

/* --- on the way --- */

struct entry {
	struct entry *next;
	struct publishing *publishing;
	uint64_t line;
	bool confirmed;
	char id[];
};

struct publishing {
	struct lines lines;
	struct session session;
	struct keyring *keyring;    /* NULL: nothing is signed */
	struct entry *first, *last; /* in the order of the file; what is confirmed is printed in that order */
	size_t open, published;
	bool all;
	struct broker_url url;
	const char *user; /* for user_id; NULL: none */
	struct err err;
};

static void print_confirmed(struct publishing *p)
{
	while (p->first && p->first->confirmed) {
		struct entry *entry = p->first;
		p->first = entry->next;
		puts(entry->id);
		p->published++;
		free(entry);
	}
}

static void on_published(void *data, enum publish_outcome outcome)
{
	struct entry *entry = data;
	struct publishing *p = entry->publishing;

	p->open--;
	entry->confirmed = outcome == PUBLISH_CONFIRMED;
	if (outcome == PUBLISH_RETURNED && !p->err.code)
		err_set(&p->err, ERR_SERVICE,
			"%s:%llu: RabbitMQ takes no jobs for the fleet %s; see flotilla broker apply", p->lines.name,
			(unsigned long long)entry->line, p->lines.app->services.prefix);
	print_confirmed(p);
}

static struct entry *add_entry(struct publishing *p, const char *id)
{
	size_t len = strlen(id) + 1;
	struct entry *entry = xmalloc(sizeof *entry + len);

	*entry = (struct entry){.publishing = p, .line = p->lines.number};
	memcpy(entry->id, id, len);
	if (p->first)
		p->last->next = entry;
	else
		p->first = entry;
	p->last = entry;
	p->open++;
	return entry;
}

/* The headers of a signed message, and their text. */
struct signing {
	struct broker_header headers[2];
	char mac[SIGNATURE_TEXT];
};

static void sign(struct publishing *p, const struct job *job, struct signing *signing, struct broker_out *out)
{
	const struct signature_of of = {.prefix = p->lines.app->services.prefix,
					.pool = job->pool,
					.priority = job->priority,
					.message_id = out->message_id,
					.body = out->body,
					.body_len = out->body_len};

	if (!p->keyring || signature_make(p->keyring, &of, signing->mac, &p->err) < 0)
		return;
	signing->headers[0] = (struct broker_header){SIGNATURE_KEY, keyring_id(keyring_first(p->keyring)), 0};
	signing->headers[1] = (struct broker_header){SIGNATURE_MAC, signing->mac, 0};
	out->headers = signing->headers;
	out->header_count = 2;
}

static void publish_next(struct publishing *p)
{
	struct broker_out out = {.content_type = JSON, .body = p->lines.line, .user = p->user};
	struct signing signing;
	CLEANUP(job_release) struct job job = {0};
	int r = lines_next(&p->lines, &out.body_len, &job, &p->err);

	p->all = r <= 0;
	if (p->all)
		return;
	out.body = p->lines.line;
	if (!job.id) {
		job_make_id(&job);
		out.message_id = job.id;
	}
	sign(p, &job, &signing, &out);
	if (p->err.code)
		return;
	publisher_job(p->session.publisher, job.pool, job.priority, &out, on_published, add_entry(p, job.id));
}

static bool is_published(void *data)
{
	struct publishing *p = data;

	while (!p->all && !p->err.code && p->open < AT_ONCE)
		publish_next(p);
	return p->err.code || p->open == 0;
}

static int publish(struct publishing *p, struct app *app, struct err *err)
{
	struct session *session = &p->session;
	int r = session_open_broker(session, app, err);

	if (r == 0)
		r = session_run(session, is_published, p, -1, err);
	session_close(session); /* what it has confirmed by now is printed */
	if (r == 0 && p->err.code) {
		*err = p->err;
		r = err->code;
	}
	if (r < 0)
		err_prefix(err,
			   "%zu jobs are published, those that were printed; publishing the others again is safe where "
			   "they have an id",
			   p->published);
	return r;
}

static void release(struct publishing *p)
{
	while (p->first) {
		struct entry *entry = p->first;
		p->first = entry->next;
		free(entry);
	}
	lines_release(&p->lines);
	keyring_free(p->keyring);
	broker_url_release(&p->url);
}

static int exec(struct app *app, void *data, struct err *err)
{
	const struct options *options = data;
	CLEANUP(release) struct publishing p = {.lines = {.app = app, .options = options, .name = app->args[0]}};
	int r = app->signing_keys ? keyring_open(app->signing_keys, &p.keyring, err) : 0;

	if (r == 0 && options->user_id)
		r = broker_url_parse(app->services.amqp_url, &p.url, err);
	p.user = p.url.user;
	if (r == 0 && p.user && !*p.user)
		r = err_set(err, ERR_USAGE, "--user-id: the URL of RabbitMQ names no user; write amqps://USER@host");
	if (r == 0)
		r = lines_open(&p.lines, err);
	if (r == 0)
		r = lines_check(&p.lines, err);
	return r < 0 ? r : publish(&p, app, err);
}

const struct command command_publish = {
	.name = "publish",
	.args = "FILE",
	.help = "publish jobs from a file, as a client does",
	.more = "FILE has a job a line, as JSON, with the fields of a message; - is standard input. Nothing is "
		"published where "
		"a line is no job. Prints each id, in the order of the file, when RabbitMQ has the job safe; it is "
		"known to "
		"status and wait when a worker of its pool takes it in. Needs no Redis. With signing keys each job is "
		"signed with "
		"the first of them.",
	.options = options_,
	.take = take,
	.options_size = sizeof(struct options),
	.min_args = 1,
	.max_args = 1,
	.exec = exec,
};
