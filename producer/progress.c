#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/duration.h"
#include "out.h"
#include "run.h"

#define BAR_MS 100
#define LINE_MS 2000
#define BAR_MAX 40

void progress_init(struct progress *progress, const char *name, size_t total)
{
	*progress = (struct progress){.name = name,
				      .total = (int64_t)total,
				      .began_ms = clock_mono_ms(),
				      .last_ms = clock_mono_ms() - LINE_MS,
				      .terminal = out_fancy(stderr)};
}

static bool is_due(struct progress *progress)
{
	int64_t now = clock_mono_ms();

	if (now - progress->last_ms < (progress->terminal ? BAR_MS : LINE_MS))
		return false;
	progress->last_ms = now;
	return true;
}

static void elapsed_seconds(const struct progress *progress, char *text)
{
	int64_t ms = (clock_mono_ms() - progress->began_ms) / 1000 * 1000;

	if (ms > 0)
		duration_format(ms, text);
	else
		snprintf(text, DURATION_TEXT, "0 s");
}

/* The bar is as wide as the line leaves room for. */
static void draw(struct progress *progress, int64_t done, const char *words)
{
	char elapsed[DURATION_TEXT];
	int64_t total = progress->total > 0 ? progress->total : 1;
	int room, filled;

	elapsed_seconds(progress, elapsed);
	if (!progress->terminal) {
		fprintf(stderr, "%s: %" PRId64 "/%" PRId64 "%s  (%s)\n", progress->name, done, progress->total, words,
			elapsed);
		return;
	}
	room = out_columns(stderr) - (int)(strlen(progress->name) + strlen(words) + strlen(elapsed)) - 28;
	room = room > BAR_MAX ? BAR_MAX : room < 5 ? 5 : room;
	filled = (int)(done * room / total);
	filled = filled > room ? room : filled;
	fprintf(stderr, "\r%s [%.*s%*s] %" PRId64 "/%" PRId64 "%s  %s\033[K", progress->name, filled,
		"########################################", room - filled, "", done, progress->total, words, elapsed);
	fflush(stderr);
	progress->drawn = true;
}

void progress_submitting(struct progress *progress, size_t submitted)
{
	if (submitted > 0 && (progress->terminal || clock_mono_ms() - progress->began_ms > LINE_MS) && is_due(progress))
		draw(progress, (int64_t)submitted, "  submitted");
}

static void draw_counts(struct progress *progress, const struct run_counts *counts)
{
	static const enum job_state shown[] = {JOB_RUNNING,   JOB_QUEUED,  JOB_FAILED,
					       JOB_CANCELLED, JOB_SKIPPED, JOB_EXPIRED};
	CLEANUP(buf_release) struct buf words = BUF_INIT;

	if (counts->jobs > progress->total)
		progress->total = counts->jobs;
	buf_adds(&words, "");
	for (size_t i = 0; i < sizeof shown / sizeof *shown; i++)
		if (counts->in[shown[i]] > 0)
			buf_addf(&words, "  %s %" PRId64, job_state_name(shown[i]), counts->in[shown[i]]);
	draw(progress, run_ended(counts), words.data ? words.data : "");
	progress->last = *counts;
}

void progress_counts(struct progress *progress, const struct run_counts *counts)
{
	if (!progress->terminal && memcmp(counts, &progress->last, sizeof *counts) == 0)
		return;
	if (is_due(progress))
		draw_counts(progress, counts);
}

void progress_break(struct progress *progress)
{
	if (progress->drawn)
		fputc('\n', stderr);
	progress->drawn = false;
}

void progress_end(struct progress *progress, const struct run_counts *counts)
{
	if (progress->terminal || memcmp(counts, &progress->last, sizeof *counts) != 0)
		draw_counts(progress, counts);
	progress_break(progress);
}
