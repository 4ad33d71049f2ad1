/* Signed jobs: what may come in by this pool's queues, where the operator demands signatures (--require-signed).
 *
 * A worker that demands them verifies a message before it is read as a job. What comes by the queue of another pool
 * cannot be verified here any more, and whoever signs for that one need not be one who may sign for this: its worker
 * notes in the record by which pool it came, and the claim refuses it (claim.lua). Jobs that are registered through
 * Redis need no signature: whoever may write there is trusted. */
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "job/signature.h"
#include "worker.h"

#define LOOK_MS 1000

int signed_open(struct worker *worker, struct err *err)
{
	const struct worker_options *o = &worker->options;

	if (o->signing_keys && keyring_open(o->signing_keys, &worker->keyring, err) < 0)
		return err->code;
	if (o->require_signed && !worker->keyring)
		return err_set(err, ERR_USAGE,
			       "--require-signed: there are no keys to verify with; name their file by --signing-keys");
	worker->keyring_looked_at = clock_mono_ms();
	if (o->require_user && o->allow_exec && !o->require_signed)
		log_warn("--allow-exec without --require-signed: a stranger may publish to every pool, and so run any "
			 "command in this one");
	if (o->require_signed)
		log_info("pool %s takes signed jobs only; %zu keys", o->pool, keyring_count(worker->keyring));
	return 0;
}

void signed_tick(struct worker *worker)
{
	int64_t now = clock_mono_ms();
	struct err err;
	int r;

	if (!worker->keyring || now - worker->keyring_looked_at < LOOK_MS)
		return;
	worker->keyring_looked_at = now;
	r = keyring_refresh(worker->keyring, &err);
	if (r < 0)
		log_error("%s; going on with the keys that were there before", err.text);
	else if (r > 0)
		log_info("the signing keys were read again: %zu of them", keyring_count(worker->keyring));
}

int signed_check(struct worker *worker, size_t level, const struct broker_message *m, struct err *err)
{
	const struct signature_of of = {.prefix = worker->options.prefix,
					.pool = worker->options.pool,
					.priority = worker->levels[level].name,
					.message_id = m->message_id,
					.reply_to = m->reply_to,
					.correlation_id = m->correlation_id,
					.correlation_len = m->correlation_len,
					.body = m->body,
					.body_len = m->body_len};

	if (!worker->options.require_signed)
		return 0;
	if (job_check_size(m->body_len, &worker->limits, err) < 0) /* it is not worth the time */
		return err->code;
	return signature_verify(worker->keyring, &of, m->key_id, m->signature, err);
}

int signed_check_job(struct item *item, struct err *err)
{
	const struct worker *worker = item->worker;

	if (worker->options.require_signed && !item->job.id)
		return err_set(err, ERR_INPUT,
			       "field `id`: a signed job needs one, or a message_id: without it the same message, sent "
			       "again, would be another job");
	if (strcmp(item->job.pool, worker->options.pool) != 0)
		item->job.via = worker->options.pool;
	return 0;
}

const char *signed_demand(const struct worker *worker) { return worker->options.require_signed ? "1" : ""; }
