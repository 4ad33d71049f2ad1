#!lua flags=allow-oom
-- A worker that is stopped gives an attempt back, with its token; it counts as neither failed nor lost. Cancelled meanwhile,
-- it ends as cancelled.
local job, spec, result, output, waiting, dependents, asked, leases, outbox, settling, replies, run_hash, run_jobs, stats = unpack(KEYS)
local id, run, events, token = unpack(ARGV)
--#include common.inc.lua
--#include ended.inc.lua
local v = redis.call('HMGET', job, 'state', 'run', 'token', 'attempt', 'cancel_at', 'keep', 'dedup', 'epoch', 'pool', 'priority', 'task', 'queued_at')
if not v[1] then return {'gone'} end
if (v[2] or '') ~= run then return {'run', v[2] or ''} end
if v[3] ~= token then return {'stale', v[1]} end
if v[1] == 'queued' then return {'queued', v[9], v[10], v[11], v[12]} end
if v[1] ~= 'running' then return {'stale', v[1]} end
redis.call('ZREM', leases, id)
if v[5] then
  return finish('running', 'cancelled', {attempt = v[4], epoch = v[8], dedup = v[7], keep = v[6]}, 'reason', 'cancelled', 'error', 'cancelled while its worker was stopped')
end
redis.call('HSET', job, 'state', 'queued', 'queued_at', stamp)
redis.call('ZADD', outbox, now, id)
move('running', 'queued')
tell('queued', v[4])
return {'queued', v[9], v[10], v[11], stamp}
