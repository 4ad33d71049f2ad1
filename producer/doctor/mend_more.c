/* Repairs of what is not one job's. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "broker/topology.h"
#include "doctor/doctor.h"
#include "doctor/queues.h"

#define CHANNEL 1
#define TOKEN_BYTES 8

/* --- dedup keys --- */

/* `what` is a word and, behind a blank, the rest. */
static char *first_word(const char *what, const char **ret_rest)
{
	size_t len = strcspn(what, " ");

	*ret_rest = what + len + (what[len] == ' ');
	return xmemdup0(what, len);
}

void mend_dedup_release(struct doctor *doctor, struct finding *finding, int round)
{
	const char *tenure;
	CLEANUP(freep) char *holder = first_word(finding->sign, &tenure);
	const struct store_arg args[] = {STORE_TEXT(holder), STORE_TEXT(tenure)};

	(void)round;
	store_script(doctor->session->store, "unhold", finding->id, NULL, args, 2, NULL, NULL);
	mend_did(finding, "removed");
}

/* A job that has the key takes it once more, without an expiry; one that has not, where nobody has it. */
static void take(struct doctor *doctor, const char *key, const char *id, const char *epoch)
{
	char token[2 * TOKEN_BYTES + 1];

	random_hex(token, TOKEN_BYTES);
	const struct store_arg args[] = {STORE_TEXT("take"), STORE_TEXT(id), STORE_TEXT(epoch),
					 STORE_TEXT(token),  STORE_TEXT(""), STORE_TEXT("")};
	store_script(doctor->session->store, "dedup", key, NULL, args, 6, NULL, NULL);
}

/* It may have been let go since; then the holder of the moment keeps it. */
void mend_dedup_take(struct doctor *doctor, struct finding *finding, int round)
{
	const char *tenure;
	CLEANUP(freep)
	char *holder = first_word(finding->sign, &tenure), *epoch = xmemdup0(tenure, strcspn(tenure, " "));

	(void)round;
	take(doctor, finding->id, holder, *epoch ? epoch : "0");
	mend_did(finding, "its expiry taken away");
}

void mend_dedup_of_job(struct doctor *doctor, struct finding *finding, int round)
{
	const char *key;
	CLEANUP(freep) char *epoch = first_word(finding->sign, &key);

	(void)round;
	take(doctor, key, finding->id, epoch);
	mend_did(finding, "the key taken");
}

/* --- counters --- */

/* `field seen right field seen right …` as arguments; the text is cut into them. */
static size_t cut(char *text, struct store_arg *args, size_t most)
{
	size_t count = 0;

	for (char *rest = NULL, *word = strtok_r(text, " ", &rest); word && count < most;
	     word = strtok_r(NULL, " ", &rest))
		args[count++] = STORE_TEXT(word);
	return count;
}

/* In the second round: its set may have got members in the first. Counted anew for that. */
void mend_run(struct doctor *doctor, struct finding *finding, int round)
{
	CLEANUP(findings_release) struct findings now = {0};
	char *id[] = {finding->id};
	const struct ids run = {.at = id, .count = 1};
	struct finding *at, *next;
	struct err err;

	if (round == 0 || look_runs(doctor, &run, &now, &err) < 0)
		return;
	HASH_ITER(hh, now.all, at, next)
	{
		CLEANUP(freep) char *text = xstrdup(at->sign);
		struct store_arg args[3 * (JOB_STATE_COUNT + 1)];
		size_t count = cut(text, args, sizeof args / sizeof *args);
		if (at->kind != KIND_RUN_COUNTERS || count == 0)
			continue;
		store_script(doctor->session->store, "recount", "", finding->id, args, count, NULL, NULL);
		mend_did(finding, "counted anew");
	}
}

/* The sign is the member. */
void mend_member(struct doctor *doctor, struct finding *finding, int round)
{
	(void)round;
	store_format(doctor->session->store, NULL, NULL, "SREM %k %s", KEY_RUN_JOBS, finding->id, finding->sign);
	mend_did(finding, "taken out");
}

void mend_stats(struct doctor *doctor, struct finding *finding, int round)
{
	const struct store_arg args[] = {STORE_TEXT(finding->id), STORE_TEXT(finding->sign)};

	(void)round;
	store_script(doctor->session->store, "raise", "", NULL, args, 2, NULL, NULL);
	mend_did(finding, "raised");
}

/* --- workers --- */

/* The sign is its last sign of life: only if there was none since. */
void mend_worker(struct doctor *doctor, struct finding *finding, int round)
{
	CLEANUP(freep) char *pool = NULL;
	struct err err;
	CLEANUP(store_reply_freep)
	struct store_reply *named = doctor_one(doctor, &err, "HGET %k pool", KEY_WORKER, finding->id);
	const struct store_arg args[] = {STORE_TEXT(finding->sign)};

	(void)round;
	pool = xstrdup(store_reply_text(named, NULL));
	store_script(doctor->session->store, "leave", finding->id, pool, args, 1, NULL, NULL);
	mend_did(finding, "struck off");
}

void mend_caretaker(struct doctor *doctor, struct finding *finding, int round)
{
	const struct store_arg args[] = {STORE_TEXT("0")};

	(void)round;
	store_script(doctor->session->store, "role", finding->id, NULL, args, 1, NULL, NULL);
	mend_did(finding, "freed");
}

/* --- RabbitMQ --- */

void mend_topology(struct doctor *doctor, struct finding *finding, int round)
{
	struct broker *broker = NULL;
	struct err err;

	(void)round;
	if (queues_open(doctor, &broker, &err) < 0)
		return;
	if (topology_declare_fleet(broker, CHANNEL, doctor->session->app->services.prefix, &err) == 0)
		mend_did(finding, "declared");
	broker_close(broker, true);
}

/* All of them in one go, with the first; the others find nothing left. What was removed is found by that look. */
void mend_invitations(struct doctor *doctor, struct finding *finding, int round)
{
	struct err err;

	if (round > 0)
		return;
	if (doctor->removed.all == NULL)
		look_messages(doctor, true, &doctor->removed, &err);
	if (findings_same(&doctor->removed, finding))
		mend_did(finding, "removed");
}
