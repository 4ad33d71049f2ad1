#include <criterion/criterion.h>
#include <string.h>

#include "job/job.h"

Test(state, words_and_back)
{
	for (int i = 0; i < JOB_STATE_COUNT; i++) {
		const char *name = job_state_name((enum job_state)i);
		cr_expect(job_state_parse(name, strlen(name)) == i, "%s", name);
	}
	for (int i = 0; i < JOB_WHEN_COUNT; i++) {
		const char *name = job_when_name((enum job_when)i);
		cr_expect(job_when_parse(name, strlen(name)) == i, "%s", name);
	}
	cr_expect(job_state_parse("queue", 5) == -1);
	cr_expect(job_state_parse("queuedx", 7) == -1);
	cr_expect(job_when_parse("", 0) == -1);
}

Test(state, ends_and_retries)
{
	cr_expect(!job_state_ended(JOB_RUNNING));
	cr_expect(job_state_ended(JOB_SUCCEEDED));
	cr_expect(job_state_ended(JOB_EXPIRED));
	cr_expect(job_reason_retried(JOB_REASON_TIMEOUT));
	cr_expect(job_reason_retried(JOB_REASON_RESULT));
	cr_expect(!job_reason_retried(JOB_REASON_BAD_ARGUMENT));
	cr_expect(!job_reason_retried(JOB_REASON_POISON));
	cr_expect_str_eq(job_reason_name(JOB_REASON_BAD_ARGUMENT), "bad argument");
}

Test(state, names_of_jobs_and_pools)
{
	char longest[201];

	memset(longest, 'a', sizeof longest);
	cr_expect(job_id_valid(longest, 200));
	cr_expect(!job_id_valid(longest, 201));
	cr_expect(!job_id_valid("", 0));
	cr_expect(!job_id_valid("a\0b", 3));
	cr_expect(job_id_valid("Az09._/@+=,-", 12));
	for (const char *bad = ": \t#*\\\"'\x80"; *bad; bad++)
		cr_expect(!job_id_valid(bad, 1), "%c", *bad);
	cr_expect(job_pool_valid(longest, 63));
	cr_expect(!job_pool_valid(longest, 64));
	cr_expect(job_pool_valid("0_-", 3));
	cr_expect(!job_pool_valid("_a", 2));
	cr_expect(!job_pool_valid("a.b", 3));
	cr_expect(!job_pool_valid("", 0));
}
