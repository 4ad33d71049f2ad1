#include "job/state.h"

#include <string.h>

static int find(const char *const *names, int count, const char *text, size_t len)
{
	for (int i = 0; i < count; i++)
		if (strlen(names[i]) == len && memcmp(names[i], text, len) == 0)
			return i;
	return -1;
}

static const char *const state_names[] = {
#define X(name, text, ended) [name] = text,
	JOB_STATE_MAP(X)
#undef X
};

static const bool state_ended[] = {
#define X(name, text, ended) [name] = ended,
	JOB_STATE_MAP(X)
#undef X
};

static const char *const when_names[] = {
#define X(name, text) [name] = text,
	JOB_WHEN_MAP(X)
#undef X
};

static const char *const reason_names[] = {
#define X(name, text, retried) [name] = text,
	JOB_REASON_MAP(X)
#undef X
};

static const bool reason_retried[] = {
#define X(name, text, retried) [name] = retried,
	JOB_REASON_MAP(X)
#undef X
};

const char *job_state_name(enum job_state state) { return state_names[state]; }
int job_state_parse(const char *text, size_t len) { return find(state_names, JOB_STATE_COUNT, text, len); }
bool job_state_ended(enum job_state state) { return state_ended[state]; }
const char *job_when_name(enum job_when when) { return when_names[when]; }
int job_when_parse(const char *text, size_t len) { return find(when_names, JOB_WHEN_COUNT, text, len); }
const char *job_reason_name(enum job_reason reason) { return reason_names[reason]; }
bool job_reason_retried(enum job_reason reason) { return reason_retried[reason]; }
