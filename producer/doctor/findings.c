#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "doctor/doctor.h"
#include "out.h"

static const struct {
	const char *name, *hint;
	enum doctor_level level;
	enum doctor_family family;
	mend_start *mend;
} kinds[] = {
#define X(name, text, level, family, mend, hint) [name] = {text, hint, LEVEL_##level, FAMILY_##family, mend},
	KIND_MAP(X)
#undef X
};

const char *kind_name(enum doctor_kind kind) { return kinds[kind].name; }
const char *kind_hint(enum doctor_kind kind) { return kinds[kind].hint; }
enum doctor_level kind_level(enum doctor_kind kind) { return kinds[kind].level; }
enum doctor_family kind_family(enum doctor_kind kind) { return kinds[kind].family; }
mend_start *kind_mend(enum doctor_kind kind) { return kinds[kind].mend; }

const char *level_name(enum doctor_level level)
{
	static const char *const names[] = {"damage", "warning", "note"};
	return names[level];
}

/* A worker that is slow to tell, or a caretaker that has just gone, passes within a few seconds. */
bool kind_patient(enum doctor_kind kind)
{
	return kind == KIND_NO_MESSAGE || kind == KIND_FEW_MESSAGES || kind == KIND_NO_CARETAKER ||
	       kind == KIND_RETURNED || kind == KIND_UNROUTED || kind == KIND_LEASE_MISSING;
}

void found(struct findings *findings, enum doctor_kind kind, const char *id, const char *sign, const char *format, ...)
{
	CLEANUP(buf_release) struct buf key = BUF_INIT, words = BUF_INIT, clean = BUF_INIT;
	struct finding *finding;
	va_list ap;

	buf_addf(&key, "%d\x1f%s\x1f%s", (int)kind, id, sign);
	HASH_FIND(hh, findings->all, key.data, key.len, finding);
	if (finding)
		return;
	if (findings->kept[kind] == FINDINGS_MAX) {
		findings->beyond[kind]++;
		return;
	}
	va_start(ap, format);
	buf_vaddf(&words, format, ap);
	va_end(ap);
	out_clean(&clean, words.data, words.len, true);
	finding = xcalloc(1, sizeof *finding + key.len + 1);
	finding->kind = kind;
	finding->id = xstrdup(id);
	finding->sign = xstrdup(sign);
	finding->words = buf_detach(&clean);
	memcpy(finding->key, key.data, key.len);
	HASH_ADD_KEYPTR(hh, findings->all, finding->key, key.len, finding);
	findings->kept[kind]++;
}

void finding_drop(struct findings *findings, struct finding *finding)
{
	HASH_DEL(findings->all, finding);
	findings->kept[finding->kind]--;
	free(finding->id);
	free(finding->sign);
	free(finding->words);
	free(finding->did);
	free(finding);
}

void findings_release(struct findings *findings)
{
	struct finding *finding, *next;

	HASH_ITER(hh, findings->all, finding, next)
	finding_drop(findings, finding);
	memset(findings->beyond, 0, sizeof findings->beyond);
}

struct finding *findings_same(const struct findings *in, const struct finding *as)
{
	struct finding *same;

	HASH_FIND(hh, in->all, as->key, as->hh.keylen, same);
	return same;
}

void findings_retain(struct findings *findings, const struct findings *seen, bool (*of)(enum doctor_kind kind))
{
	struct finding *finding, *next;

	HASH_ITER(hh, findings->all, finding, next)
	if (of(finding->kind) && !findings_same(seen, finding))
		finding_drop(findings, finding);
}

size_t findings_of_level(const struct findings *findings, enum doctor_level level)
{
	size_t count = 0;

	for (int kind = 0; kind < KIND_COUNT; kind++)
		if (kinds[kind].level == level)
			count += findings->kept[kind] + findings->beyond[kind];
	return count;
}

void mend_did(struct finding *finding, const char *words)
{
	CLEANUP(buf_release) struct buf all = BUF_INIT;

	if (finding->did && strstr(finding->did, words))
		return;
	buf_addf(&all, "%s%s%s", finding->did ? finding->did : "", finding->did ? ", " : "", words);
	free(finding->did);
	finding->did = buf_detach(&all);
}
