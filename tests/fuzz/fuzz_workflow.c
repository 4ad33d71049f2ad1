/* Workflow files in YAML: workflow_load never crashes, its errors are one clean line, and what it takes it takes again
 * from what workflow_yaml writes, the same, with jobs that the wire takes. The value of {n} is given where it is asked
 * for. */
#include "fuzz_workflow.h"

/* A matrix multiplies: an input of few bytes could make a million jobs, all right but slow. Three to the eighth can. */
static bool too_many_jobs(const char *text)
{
	size_t items = 0;

	for (const char *at = text; *at; at++)
		items += *at == ',' || *at == '\n';
	return items > 24 && strstr(text, "matrix");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const sets[] = {"n=[3, {a: 1.50}]"};
	struct workflow_options options = {.sets = sets};
	char *text = xmemdup0(data, size);

	options.set_count = strstr(text, "{n}") ? 1 : 0;
	if (!too_many_jobs(text))
		fuzz_load(data, size, &options);
	free(text);
	return 0;
}
