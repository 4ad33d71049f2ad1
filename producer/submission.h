/* Jobs on their way into the fleet. */
#ifndef FLOTILLA_PRODUCER_SUBMISSION_H
#define FLOTILLA_PRODUCER_SUBMISSION_H

#include "session.h"

/* Decodes a wire map (MessagePack) as a client's message would be: pool and priority default to the fleet's. */
int submission_decode(const struct session *session, const char *map, size_t len, struct job *ret, struct err *err);

#endif
