/* What `settling` lists is either a registration that was not finished or an end that was not told. */
#include "fleet/internal.h"

struct resume {
	struct fleet *fleet;
	void (*done)(void *data);
	void *data;
	char id[];
};

static void on_looked(void *data, const struct store_reply *reply)
{
	struct resume *resume = data;
	struct fleet *fleet = resume->fleet;
	const struct store_arg gone[] = {STORE_TEXT("0")};

	fleet->busy--;
	if (fleet_says(reply, "guarded")) {
		fleet_register(fleet, resume->id, store_int_at(reply, 1), store_int_at(reply, 1) > 0, resume->done,
			       resume->data);
	} else if (fleet_says(reply, "ended")) {
		fleet_tell(fleet, resume->id, store_text_at(reply, 2), store_text_at(reply, 3), store_text_at(reply, 1),
			   store_text_at(reply, 4), NULL, (size_t)store_int_at(reply, 5), resume->done, resume->data);
	} else {
		if (fleet_says(reply, "gone"))
			store_script(fleet->store, "told", resume->id, NULL, gone, 1, NULL, NULL);
		if (resume->done)
			resume->done(resume->data);
	}
	free(resume);
}

void fleet_resume(struct fleet *fleet, const char *id, void (*done)(void *data), void *data)
{
	size_t len = strlen(id) + 1;
	struct resume *resume = xmalloc(sizeof *resume + len);

	*resume = (struct resume){fleet, done, data};
	memcpy(resume->id, id, len);
	fleet->busy++;
	store_script(fleet->store, "look", id, NULL, NULL, 0, on_looked, resume);
}
