#!lua flags=allow-oom
-- Before the message that brought a queued job is acknowledged unclaimed: its invitation is owed from now on. For one that is
-- not queued none is.
local job, outbox = unpack(KEYS)
local id, run, events = unpack(ARGV)
local v = redis.call('HMGET', job, 'state', 'pool', 'priority', 'task', 'queued_at')
if v[1] ~= 'queued' then
  redis.call('ZREM', outbox, id)
  if not v[1] then return {'gone'} end
  return {'none', v[1]}
end
local time = redis.call('TIME')
redis.call('ZADD', outbox, 'NX', time[1] * 1000 + math.floor(time[2] / 1000), id)
return {'queued', v[2], v[3], v[4], v[5]}
