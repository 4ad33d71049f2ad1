#!lua flags=allow-oom
-- A name is one process' (`instance`): another gets 'other' and the record until that one has been silent for its lease.
-- A worker's sign of life, and its record; `free` slots with nothing held here make it one of the idle of its pool. Answers
-- with the others that are, and with the time. living '0': it does not consume, so only the record is brought up to date.
local workers, worker, idle = unpack(KEYS)
local name, pool, events, living, free, keep, instance = unpack(ARGV)
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local v = redis.call('HMGET', worker, 'instance', 'beat_at', 'lease_ms', 'pid', 'host')
if v[1] ~= instance then
  if v[2] and tonumber(v[2]) > now - (tonumber(v[3]) or 0) then return {'other', v[2], v[3], v[4] or '', v[5] or ''} end
  redis.call('HSET', worker, 'started_at', now)
end
redis.call('HSET', worker, 'name', name, 'instance', instance, 'beat_at', now, unpack(rest))
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
