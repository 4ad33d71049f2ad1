#!lua flags=allow-oom
-- A worker gives an attempt back, with its token; it counts as neither failed nor lost. One that was claimed and has not begun
-- (`begun`: '0') is as if nobody had claimed it: it does not count as an attempt, is queued since it was, and may yet expire.
-- Cancelled meanwhile, it ends as cancelled.
local job, spec, result, output, waiting, dependents, asked, leases, outbox, expiring, settling, replies, run_hash, run_jobs, stats = unpack(KEYS)
local id, run, events, token, begun = unpack(ARGV)
--#include common.inc.lua
--#include ended.inc.lua
local v = redis.call('HMGET', job, 'state', 'run', 'token', 'attempt', 'cancel_at', 'keep', 'dedup', 'epoch', 'pool', 'priority', 'task', 'queued_at', 'expires_at')
if not v[1] then return {'gone'} end
if (v[2] or '') ~= run then return {'run', v[2] or ''} end
if v[3] ~= token then return {'stale', v[1]} end
if v[1] == 'queued' then return {'queued', v[9], v[10], v[11], v[12]} end
if v[1] ~= 'running' then return {'stale', v[1]} end
redis.call('ZREM', leases, id)
if v[5] then
  return finish('running', 'cancelled', {attempt = v[4], epoch = v[8], dedup = v[7], keep = v[6]}, 'reason', 'cancelled', 'error', 'cancelled while its worker was stopped')
end
local attempt, queued_at = v[4], stamp
if begun == '0' then
  attempt, queued_at = tostring(v[4] - 1), v[12]
  redis.call('HDEL', job, 'started_at', 'worker')
  if attempt == '0' and v[13] then redis.call('ZADD', expiring, v[13], id) end
end
redis.call('HSET', job, 'state', 'queued', 'queued_at', queued_at, 'attempt', attempt)
redis.call('ZADD', outbox, now, id)
move('running', 'queued')
tell('queued', attempt)
return {'queued', v[9], v[10], v[11], queued_at}
