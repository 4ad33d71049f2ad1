#include "workers_view.h"

#include <inttypes.h>
#include <string.h>

#include "base/duration.h"
#include "out.h"
#include "record.h"

#define TASKS_SHOWN 60

static void add_worker(struct table *table, const struct worker *worker, int64_t now_ms)
{
	const char *tasks = worker_text(worker, "tasks");
	char text[DURATION_TEXT];

	table_add(table, worker->name);
	table_add(table, worker->alive ? worker_text(worker, "pool") : "(gone)");
	table_addf(table, "%" PRId64 "/%" PRId64, worker_int(worker, "running"), worker_int(worker, "slots"));
	table_addf(table, "%" PRId64, worker_int(worker, "held"));
	table_add(table, worker_text(worker, "host"));
	table_add(table, worker_text(worker, "pid"));
	table_add(table, worker_text(worker, "version"));
	age_format(now_ms, worker_int(worker, "started_at"), text);
	table_add(table, text);
	age_format(now_ms, worker->seen_ms, text);
	table_add(table, text);
	table_addf(table, "%.*s%s", TASKS_SHOWN, tasks, strlen(tasks) > TASKS_SHOWN ? "..." : "");
}

void workers_table(const struct workers *workers, bool fancy, struct buf *ret)
{
	static const char *const head[] = {"WORKER", "POOL",    "RUNNING", "HELD", "HOST",
					   "PID",    "VERSION", "UP",      "SEEN", "TASKS"};
	struct table table = {.columns = 10, .fancy = fancy, .state = 10, .right = "llrrlrlrrl"};

	for (size_t i = 0; i < table.columns; i++)
		table_add(&table, head[i]);
	for (size_t i = 0; i < workers->count; i++)
		add_worker(&table, &workers->at[i], workers->now_ms);
	table_write(&table, ret);
	table_release(&table);
}

static json_t *tasks_json(const char *at)
{
	json_t *tasks = json_array();

	while (*at) {
		size_t word = strcspn(at, ",");
		if (word)
			json_array_append_new(tasks, json_stringn(at, word));
		at += word + (at[word] == ',');
	}
	return tasks;
}

json_t *worker_json(const struct worker *worker)
{
	static const char *const texts[] = {"pool", "host", "version"};
	static const char *const numbers[] = {"slots", "running", "held", "pid", "started_at", "lease_ms"};
	json_t *doc = json_object();

	json_object_set_new(doc, "name", json_string(worker->name));
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		json_object_set_new(doc, texts[i], json_string(worker_text(worker, texts[i])));
	for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
		json_object_set_new(doc, numbers[i], json_integer(worker_int(worker, numbers[i])));
	json_object_set_new(doc, "tasks", tasks_json(worker_text(worker, "tasks")));
	json_object_set_new(doc, "seen_at", json_integer(worker->seen_ms));
	json_object_set_new(doc, "alive", json_boolean(worker->alive));
	return doc;
}
