/* How transitions of one script share a call: what is the same for all of them is given once (store/lua_scripts.h). */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "store/internal.h"

struct lab {
	struct store store;
	struct store_batch batch;
	struct store_call calls[4];
};

static void lab_begin(struct lab *lab)
{
	struct err err;

	memset(lab, 0, sizeof *lab);
	lab->store.prefix = xstrdup("p");
	buf_adds(&lab->store.events, "p:events");
	cr_assert_eq(store_scripts_init(&lab->store, &err), 0);
}

static void lab_add(struct lab *lab, const char *script, const char *id, const char *run, struct store_arg *args,
		    size_t count)
{
	struct store_call *call = &lab->calls[lab->batch.count];

	*call = (struct store_call){.script = store_script_find(&lab->store, script),
				    .id = (char *)id,
				    .run = (char *)run,
				    .args = args,
				    .count = count};
	cr_assert_not_null(call->script);
	snprintf(call->script->sha, sizeof call->script->sha, "sha");
	lab->batch.calls[lab->batch.count++] = call;
}

/* The words behind EVALSHA and the script, each with a space behind it, an empty one as ''. */
static char *words(const struct buf *command)
{
	struct buf ret = BUF_INIT;
	const char *at = command->data, *end = at + command->len;
	char *next;
	size_t count = strtoul(at + 1, &next, 10), got = 0;

	for (at = next + 2; at < end; at += 2, got++) {
		size_t len = strtoul(at + 1, &next, 10);
		at = next + 2;
		if (got >= 2) {
			buf_add(&ret, len ? at : "''", len ? len : 2);
			buf_adds(&ret, " ");
		}
		at += len;
	}
	cr_expect_eq(got, count, "%zu words, and %zu are announced", got, count);
	return buf_detach(&ret);
}

static void lab_expect(struct lab *lab, const char *expected)
{
	struct buf out = BUF_INIT;

	store_encode_batch(&lab->store, &lab->batch, &out);
	CLEANUP(freep) char *got = words(&out);
	cr_expect_str_eq(got, expected);
	buf_release(&out);
	buf_release(&lab->store.scratch);
	buf_release(&lab->store.events);
	free(lab->store.prefix);
}

/* renew: of the fleet `leases`, of the job `job`; id, run, token, lease. */
Test(store_encode, what_all_share_is_given_once)
{
	struct lab lab;
	struct store_arg one[] = {STORE_TEXT("t1"), STORE_TEXT("30000")},
			 two[] = {STORE_TEXT("t2"), STORE_TEXT("30000")};

	lab_begin(&lab);
	lab_add(&lab, "renew", "a", "r", one, 2);
	lab_add(&lab, "renew", "b", "r", two, 2);
	lab_expect(&lab, "3 p:leases p:job:a p:job:b p:events 2 11010 r 30000 a t1 b t2 ");
}

Test(store_encode, one_transition_shares_all)
{
	struct lab lab;
	struct store_arg one[] = {STORE_TEXT("t1"), STORE_TEXT("30000")};

	lab_begin(&lab);
	lab_add(&lab, "renew", "a", "", one, 2);
	lab_expect(&lab, "2 p:leases p:job:a p:events 1 00000 a '' t1 30000 ");
}

Test(store_encode, the_same_twice_is_two_transitions)
{
	struct lab lab;
	struct store_arg one[] = {STORE_TEXT("t1"), STORE_TEXT("30000")};

	lab_begin(&lab);
	lab_add(&lab, "renew", "a", "", one, 2);
	lab_add(&lab, "renew", "a", "", one, 2);
	lab_expect(&lab, "2 p:leases p:job:a p:events 2 00000 a '' t1 30000 ");
}

/* A word that is left out is empty, and is another than one that is there; so is one that only begins alike. */
Test(store_encode, a_word_that_differs_is_given_for_each)
{
	struct lab lab;
	struct store_arg one[] = {STORE_TEXT("t"), STORE_TEXT("30000")}, two[] = {STORE_TEXT("t1")};

	lab_begin(&lab);
	lab_add(&lab, "renew", "a", "r", one, 2);
	lab_add(&lab, "renew", "a", "r", two, 1);
	lab_add(&lab, "renew", "a", "r", one, 0);
	lab_expect(&lab, "2 p:leases p:job:a p:events 3 00011 a r t 30000 t1 '' '' '' ");
}

/* fill: `job` and `waiting` of the job; id, run, at, whole, and any number more. */
Test(store_encode, further_arguments_are_each_ones_own)
{
	struct lab lab;
	struct store_arg args[] = {STORE_TEXT("0"), STORE_TEXT("9"), STORE_TEXT("x"), STORE_TEXT("y")};

	lab_begin(&lab);
	lab_add(&lab, "fill", "a", "", args, 4);
	lab_add(&lab, "fill", "a", "", args, 2);
	lab_expect(&lab, "2 p:job:a p:job:a:waiting p:events 2 000000 a '' 0 9 2 x y 0 ");
}

/* succeed: `result` goes with `value`, its second argument. */
Test(store_encode, a_key_that_none_has_a_use_for_is_not_there)
{
	struct lab lab;
	struct store_arg one[] = {STORE_TEXT("t1"), STORE_TEXT("")}, two[] = {STORE_TEXT("t2"), STORE_TEXT("5")};

	lab_begin(&lab);
	lab_add(&lab, "succeed", "a", "", one, 2);
	lab_expect(&lab,
		   "10 p:leases p:settling p:replies p:stats p:job:a p:job:a:spec p:job:a:dependents p:job:a:replies "
		   "p:run: p:run::jobs p:events 1 00-00000000 a '' t1 '' ");
	lab_begin(&lab);
	lab_add(&lab, "succeed", "a", "", one, 2);
	lab_add(&lab, "succeed", "a", "", two, 2);
	lab_expect(&lab,
		   "11 p:leases p:settling p:replies p:stats p:job:a p:job:a:spec p:job:a:result p:job:a:dependents "
		   "p:job:a:replies p:run: p:run::jobs p:events 2 00000000011 a '' t1 '' t2 5 ");
}
