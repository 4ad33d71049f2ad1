#include "fleet/internal.h"

bool fleet_has_room(const struct fleet *fleet)
{
	return !fleet->publisher || publisher_pending(fleet->publisher) + fleet->resolving < FLEET_INVITATIONS;
}

void fleet_when_room(struct fleet *fleet, struct fleet_pause *pause, void (*go_on)(void *data), void *data)
{
	if (!fleet->paused && fleet_has_room(fleet)) {
		go_on(data);
		return;
	}
	*pause = (struct fleet_pause){NULL, go_on, data};
	if (fleet->paused)
		fleet->last_paused->next = pause;
	else
		fleet->paused = pause;
	fleet->last_paused = pause;
}

void fleet_room(struct fleet *fleet)
{
	while (fleet->paused && fleet_has_room(fleet)) {
		struct fleet_pause *pause = fleet->paused;
		fleet->paused = pause->next;
		pause->go_on(pause->data);
	}
}

/* A publisher that is closed drops all it has: nothing more may be begun. */
void fleet_published(struct fleet *fleet, enum publish_outcome outcome)
{
	if (outcome != PUBLISH_DROPPED || publisher_up(fleet->publisher))
		fleet_room(fleet);
}

void fleet_tick(struct fleet *fleet) { fleet_room(fleet); }
