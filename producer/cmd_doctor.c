/* What the doctor found, for people: by kind, each with what to do about it; or a JSON document a finding. */
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "commands.h"
#include "doctor/doctor.h"
#include "out.h"

enum { OPT_REPAIR = 0x1000, OPT_JSON, OPT_MESSAGES };
#define MESSAGES_MAX 10000
#define SHOWN 20 /* of a kind, to people */
#define DRAW_MS 100
#define BAR 30

static const struct argp_option options_[] = {
	{"repair", OPT_REPAIR, 0, 0, "mend what can be mended safely, and say what was done", 0},
	{"messages", OPT_MESSAGES, "N", 0,
	 "look at the first N messages of each queue too; each look counts as one of the 50 deliveries that a message "
	 "has",
	 0},
	{"json", OPT_JSON, 0, 0, "a JSON document a line", 0},
	{0},
};

struct options {
	bool repair, json;
	int64_t messages;
};

static int take(void *data, int key, const char *value, struct err *err)
{
	struct options *options = data;

	switch (key) {
	case OPT_REPAIR: options->repair = true; return 0;
	case OPT_MESSAGES: return take_int(value, 1, MESSAGES_MAX, &options->messages, err);
	default: options->json = true; return 0;
	}
}

/* --- progress --- */

struct bar {
	int64_t last_ms;
	bool terminal, drawn;
};

static void on_progress(void *data, const char *what, int64_t done, int64_t total)
{
	struct bar *bar = data;
	int64_t now = clock_mono_ms();
	int filled;

	if (!bar->terminal || now - bar->last_ms < DRAW_MS)
		return;
	bar->last_ms = now;
	done = done < total ? done : total;
	filled = total > 0 ? (int)(done * BAR / total) : BAR;
	fprintf(stderr, "\rdoctor [%.*s%*s] %lld/%lld %s\033[K", filled, "##############################", BAR - filled,
		"", (long long)done, (long long)total, what);
	fflush(stderr);
	bar->drawn = true;
}

static void bar_clear(struct bar *bar)
{
	if (bar->drawn)
		fputs("\r\033[K", stderr);
	bar->drawn = false;
}

/* --- findings --- */

static const char *level_color(enum doctor_level level, bool fancy)
{
	return out_state_color(level == LEVEL_DAMAGE ? "failed" : level == LEVEL_WARNING ? "skipped" : "", fancy);
}

static void print_kind(const struct findings *findings, enum doctor_kind kind, bool fancy)
{
	const char *color = level_color(kind_level(kind), fancy);
	size_t shown = 0, left = 0, all = findings->kept[kind] + findings->beyond[kind];
	const struct finding *finding;

	if (all == 0)
		return;
	printf("%s%s%s (%s): %zu\n", color, kind_name(kind), *color ? out_plain(fancy) : "",
	       level_name(kind_level(kind)), all);
	for (finding = findings->all; finding; finding = finding->hh.next)
		left += finding->kind == kind && !finding->mended;
	for (finding = findings->all; finding && shown < SHOWN; finding = finding->hh.next)
		if (finding->kind == kind) {
			printf("  %s: %s", finding->id, finding->words);
			if (finding->did)
				printf("; %s: %s", finding->mended ? "mended" : "NOT mended", finding->did);
			printf("\n");
			shown++;
		}
	if (all > shown)
		printf("  and %zu more (--json names %s)\n", all - shown,
		       findings->beyond[kind] ? "10000 of them" : "them all");
	if (left > 0)
		printf("      %s\n", kind_hint(kind));
}

static json_t *text_json(const char *text)
{
	json_t *value = json_string(text);
	return value ? value : json_string("?");
}

static void print_json(const struct findings *findings)
{
	for (const struct finding *finding = findings->all; finding; finding = finding->hh.next) {
		json_t *row = json_object();
		json_object_set_new(row, "kind", json_string(kind_name(finding->kind)));
		json_object_set_new(row, "level", json_string(level_name(kind_level(finding->kind))));
		json_object_set_new(row, "id", text_json(finding->id));
		json_object_set_new(row, "what", text_json(finding->words));
		json_object_set_new(row, "hint", json_string(kind_hint(finding->kind)));
		json_object_set_new(row, "mended", json_boolean(finding->mended));
		json_object_set_new(row, "did", finding->did ? text_json(finding->did) : json_null());
		out_json(row, stdout);
	}
}

static size_t count_mended(const struct findings *findings)
{
	size_t count = 0;

	for (const struct finding *finding = findings->all; finding; finding = finding->hh.next)
		count += finding->mended;
	return count;
}

static void print_sum(const struct doctor *doctor, const struct findings *findings, size_t mended)
{
	size_t damage = findings_of_level(findings, LEVEL_DAMAGE),
	       warnings = findings_of_level(findings, LEVEL_WARNING);
	size_t notes = findings_of_level(findings, LEVEL_NOTE);

	if (damage + warnings == 0)
		printf("all is well");
	else
		printf("damage %zu, warnings %zu", damage, warnings);
	if (damage + warnings && doctor->options->repair)
		printf(", mended %zu", mended);
	if (notes)
		printf(", notes %zu", notes);
	printf("; looked at %lld jobs, %lld runs, %zu workers\n", (long long)doctor->jobs, (long long)doctor->runs,
	       doctor->workers.count);
	if (damage && !doctor->options->repair)
		printf("flotilla doctor --repair mends what can be mended safely\n");
}

static int report(const struct doctor *doctor, const struct options *options, const struct findings *findings)
{
	size_t serious = findings_of_level(findings, LEVEL_DAMAGE) + findings_of_level(findings, LEVEL_WARNING);
	size_t mended = count_mended(findings);

	if (options->json) {
		print_json(findings);
	} else {
		for (int kind = 0; kind < KIND_COUNT; kind++)
			print_kind(findings, (enum doctor_kind)kind, out_fancy(stdout));
		print_sum(doctor, findings, mended);
	}
	return serious > mended ? EXIT_NOT_SUCCEEDED : EXIT_OK;
}

static int exec(struct app *app, void *data, struct err *err)
{
	const struct options *options = data;
	CLEANUP(session_close) struct session session = {0};
	CLEANUP(findings_release) struct findings findings = {0};
	struct bar bar = {.terminal = out_fancy(stderr)};
	struct doctor_options with = {
		.repair = options->repair, .messages = options->messages, .progress = on_progress, .data = &bar};
	struct doctor doctor = {.session = &session, .options = &with};
	int r = session_open(&session, app, err);

	if (r == 0)
		r = session_open_fleet(&session, err);
	if (r == 0)
		r = doctor_run(&doctor, &findings, err);
	bar_clear(&bar);
	if (r == 0)
		r = report(&doctor, options, &findings);
	doctor_release(&doctor);
	return r;
}

const struct command command_doctor = {
	.name = "doctor",
	.args = "",
	.help = "look for what does not fit together in both servers, and mend it",
	.more = "Looks twice, so that what is only on its way is not taken for lost. Exit 0 where nothing was found, "
		"or all "
		"of it was mended; 1 where something is left. Notes do not count. docs/doctor.md says what each "
		"finding means.",
	.options = options_,
	.take = take,
	.options_size = sizeof(struct options),
	.exec = exec,
};
