/* What the files that look into RabbitMQ share. */
#ifndef FLOTILLA_PRODUCER_DOCTOR_QUEUES_H
#define FLOTILLA_PRODUCER_DOCTOR_QUEUES_H

#include "broker/broker.h"
#include "doctor/doctor.h"

/* A connection with channel 1 open; blocks. The caller closes it. */
int queues_open(struct doctor *doctor, struct broker **ret, struct err *err);
/* Waits for the socket, for `left_ms` at most, which goes down; false when that is over. */
bool queues_sleep(struct broker *broker, int64_t *left_ms);

#endif
