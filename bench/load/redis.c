/* Redis alone: HSETs of three fields on keys of their own, so many in flight on one connection. */
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>

#include "load.h"

static void answer(redisContext *redis)
{
	void *reply = NULL;

	if (redisGetReply(redis, &reply) != REDIS_OK || ((redisReply *)reply)->type == REDIS_REPLY_ERROR)
		die("Redis does not take it");
	freeReplyObject(reply);
}

static void redis_load(int argc, char **argv)
{
	long port = strtol(argv[1], NULL, 10), count = strtol(argv[3], NULL, 10), depth = strtol(argv[4], NULL, 10);
	redisContext *redis = redisConnect(argv[0], (int)port);
	long owed = 0;
	double begin = now();

	(void)argc;
	if (!redis || redis->err)
		die("cannot connect to Redis");
	for (long i = 0; i < count; i++) {
		redisAppendCommand(redis, "HSET %s:%ld state running attempt 1 started_at 1700000000000", argv[2], i);
		/* half of what is in flight at a time, so that Redis always has some */
		if (++owed == depth)
			for (; owed > depth / 2; owed--)
				answer(redis);
	}
	for (; owed > 0; owed--)
		answer(redis);
	printf("%.6f\n", now() - begin);
	redisFree(redis);
}

const struct load load_redis = {"redis", "HOST PORT PREFIX N DEPTH: HSETs, pipelined; seconds", 5, redis_load};
