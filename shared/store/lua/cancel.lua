#!lua flags=allow-oom
-- cancel: ends a job that does not run; one that runs is marked, and its worker ends it.
local job, spec, result, output, waiting, dependents, asked, scheduled, outbox, expiring, settling, replies, run_hash, run_jobs, stats = unpack(KEYS)
local id, run, events = unpack(ARGV)
--#include common.inc.lua
--#include ended.inc.lua
local v = redis.call('HMGET', job, 'state', 'run', 'attempt', 'keep', 'dedup', 'epoch', 'ended_at', 'worker', 'cancel_at')
if not v[1] then return {'gone'} end
if (v[2] or '') ~= run then return {'run', v[2] or ''} end
if v[7] then return {'already', v[1]} end
if v[1] == 'running' then
  if not v[9] then redis.call('HSET', job, 'cancel_at', now) end
  return {'asked', v[8] or ''}
end
redis.call('ZREM', outbox, id)
redis.call('ZREM', scheduled, id)
redis.call('ZREM', expiring, id)
redis.call('ZREM', settling, id)
redis.call('HDEL', waiting, '~')
redis.call('HSET', job, 'cancel_at', now)
return finish(v[1], 'cancelled', {attempt = v[3], epoch = v[6], dedup = v[5], keep = v[4]}, 'reason', 'cancelled', 'error', 'cancelled before it ran')
