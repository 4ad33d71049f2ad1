#!lua flags=allow-oom
-- An invitation has been confirmed: it is owed until claimed all the same, but not overdue for five minutes.
local outbox = unpack(KEYS)
local id = ARGV[1]
local time = redis.call('TIME')
redis.call('ZADD', outbox, 'XX', time[1] * 1000 + math.floor(time[2] / 1000) + 300000, id)
return {'ok'}
