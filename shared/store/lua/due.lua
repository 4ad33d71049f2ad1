#!lua flags=allow-oom
-- A scheduled job whose time has come is queued, with its invitation owed. One that is queued and listed here (no worker that
-- had it knew its task) is invited again.
local job, scheduled, outbox, run_hash = unpack(KEYS)
local id, run, events = unpack(ARGV)
--#include common.inc.lua
local v = redis.call('HMGET', job, 'state', 'run', 'attempt', 'pool', 'priority', 'task', 'queued_at')
if not v[1] then
  redis.call('ZREM', scheduled, id)
  return {'gone'}
end
if (v[2] or '') ~= run then return {'run', v[2] or ''} end
local at = redis.call('ZSCORE', scheduled, id)
if not at or tonumber(at) > now then return {'none', v[1]} end
redis.call('ZREM', scheduled, id)
if v[1] == 'scheduled' then
  v[7] = stamp
  redis.call('HSET', job, 'state', 'queued', 'queued_at', stamp)
  move('scheduled', 'queued')
  tell('queued', v[3])
elseif v[1] ~= 'queued' then
  return {'none', v[1]}
end
redis.call('ZADD', outbox, now, id)
return {'queued', v[4], v[5], v[6], v[7]}
