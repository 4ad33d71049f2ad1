#!lua flags=allow-oom
-- lose: the caretaker takes a running job from a worker that is gone, if lease and token are those it saw. After `max_lost`
-- such losses the job is poison.
local job, spec, result, output, waiting, dependents, asked, leases, outbox, settling, replies, run_hash, run_jobs, stats = unpack(KEYS)
local id, run, events, token, lease, max_lost = unpack(ARGV)
--#include common.inc.lua
--#include ended.inc.lua
local v = redis.call('HMGET', job, 'state', 'run', 'token', 'attempt', 'lost', 'cancel_at', 'keep', 'dedup', 'epoch', 'pool', 'priority', 'worker', 'task')
if not v[1] then
  redis.call('ZREM', leases, id)
  return {'gone'}
end
if (v[2] or '') ~= run then return {'run', v[2] or ''} end
if v[1] ~= 'running' then
  redis.call('ZREM', leases, id)
  return {'none', v[1]}
end
if v[3] ~= token or redis.call('ZSCORE', leases, id) ~= lease or tonumber(lease) > now then return {'none', v[1]} end
local h = {attempt = v[4], epoch = v[9], dedup = v[8], keep = v[7]}
local lost = (tonumber(v[5]) or 0) + 1
redis.call('ZREM', leases, id)
redis.call('HSET', job, 'lost', lost)
redis.call('HDEL', job, 'token')
if v[6] then
  return finish('running', 'cancelled', h, 'reason', 'cancelled', 'error', 'cancelled; its worker ' .. (v[12] or '') .. ' was lost')
end
if lost >= tonumber(max_lost) then
  return finish('running', 'failed', h, 'reason', 'poison', 'error', lost .. ' workers were lost while they ran it, the last one ' .. (v[12] or ''))
end
redis.call('HSET', job, 'state', 'queued', 'queued_at', stamp)
redis.call('ZADD', outbox, now, id)
move('running', 'queued')
tell('queued', v[4])
return {'queued', v[10], v[11], v[13], stamp}
