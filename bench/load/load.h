/* What the loads share: connections, declaring, publishing with confirms. Each load ends the process where something
 * goes wrong: a figure of a load that half failed is none. */
#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

#include <amqp.h>
#include <stddef.h>
#include <stdint.h>

#define WINDOW 1000
#define BODY 256

/* One load: `run` gets what follows its name, and prints its figures. */
struct load {
	const char *name;
	const char *usage;
	int argc_min;
	void (*run)(int argc, char **argv);
};

_Noreturn void die(const char *what);

/* Monotonic, in seconds. */
double now(void);

/* A connection with channel 1 open; URL as librabbitmq reads it. Blocks. */
amqp_connection_state_t open_connection(const char *url);

/* Ends the process where the last call was not answered well. */
void check(amqp_connection_state_t conn, const char *what);

/* A connection that consumes from a quorum queue, which it declares. */
amqp_connection_state_t open_consumer(const char *url, const char *queue, uint16_t prefetch);

/* The tag of the next delivery. Blocks for as long as there is none. */
uint64_t next_delivery(amqp_connection_state_t conn);

/* What is published. The rest is for whoever makes the bodies. */
struct publishing {
	const char *url, *exchange, *key;
	/* The body of message i, good until the next one is asked for; NULL where there are no more. */
	amqp_bytes_t (*body)(struct publishing *p, long i);
	long count;
	const char *prefix, *task; /* job_body: ids are PREFIX-0 … */
	amqp_bytes_t args;         /* MessagePack; empty: none */
	char buffer[BODY];
};

/* BODY bytes of nothing. */
amqp_bytes_t raw_body(struct publishing *p, long i);

/* One job as MessagePack. BODY is enough for what the loads publish; else the process ends. */
amqp_bytes_t job_body(struct publishing *p, long i);

/* Publishes all, persistent, confirmed in a window of WINDOW; a thread's function. */
void *publish(void *data);

/* From hexadecimal digits, in place. */
size_t unhex(char *digits);

extern const struct load load_raw, load_publish, load_jobs, load_bodies, load_hop; /* rates.c */
extern const struct load load_latency, load_hops;                                  /* latency.c */
extern const struct load load_redis;                                               /* redis.c */

#endif
