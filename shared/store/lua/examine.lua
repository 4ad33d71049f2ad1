#!lua flags=no-writes
-- All that Redis holds of one job at one instant, for the doctor: the record's fields, when each key goes (-1: never, -2: not
-- there), sizes, the indices that list it, whether its run has it, and what it waits for where that is not more than `most`.
local job, spec, result, output, waiting, dependents, asked, leases, scheduled, expiring, outbox, settling, replies, run_hash, run_jobs = unpack(KEYS)
local id, run, events, most = unpack(ARGV)
--#include common.inc.lua
local v = redis.call('HMGET', job, 'state', 'run', 'pool', 'priority', 'attempt', 'epoch', 'pending', 'due_at', 'expires_at',
  'ended_at', 'token', 'worker', 'dedup', 'duplicate_of', 'task', 'queued_at')
if v[1] and (v[2] or '') ~= run then return {'run', v[2] or ''} end
local goes, listed = {}, {}
for i, key in ipairs({job, spec, result, output, waiting, dependents, asked, run_hash, run_jobs}) do
  goes[i] = redis.call('PEXPIRETIME', key)
end
for i, key in ipairs({leases, scheduled, expiring, outbox, settling, replies}) do listed[i] = redis.call('ZSCORE', key, id) end
local entries = redis.call('HLEN', waiting)
return {stamp, v, goes, listed, {entries, redis.call('HEXISTS', waiting, '~'), redis.call('HLEN', asked), redis.call('HLEN', dependents),
  redis.call('SISMEMBER', run_jobs, id)}, entries <= tonumber(most) and redis.call('HGETALL', waiting) or {}}
