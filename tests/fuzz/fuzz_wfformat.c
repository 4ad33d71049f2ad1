/* Recorded workflows: as fuzz_workflow, for WfFormat. */
#include "fuzz_workflow.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct workflow_options options = {.replay = 0.01};

	fuzz_load(data, size, &options);
	return 0;
}
