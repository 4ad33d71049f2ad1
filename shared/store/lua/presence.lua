#!lua flags=allow-oom
-- A worker's sign of life, and its record; `free` slots with nothing held here make it one of the idle of its pool. Answers
-- with the others that are, and with the time. living '0': it does not consume, so only the record is brought up to date.
local workers, worker, idle = unpack(KEYS)
local name, pool, events, living, free, keep = unpack(ARGV)
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('HSET', worker, 'name', name, unpack(ARGV, 7))
redis.call('HSETNX', worker, 'started_at', now)
redis.call('PEXPIRE', worker, keep)
if living == '1' then redis.call('ZADD', workers, now, name) end
if tonumber(free) > 0 then redis.call('ZADD', idle, now, name) else redis.call('ZREM', idle, name) end
redis.call('ZREMRANGEBYSCORE', idle, '-inf', now - 60000)
local others = redis.call('ZRANGEBYSCORE', idle, now - 1500, '+inf', 'LIMIT', 0, 20)
local list = {}
for _, other in ipairs(others) do
  if other ~= name then list[#list + 1] = other end
end
return {'ok', list, now}
