#!lua flags=allow-oom
-- A queued job that no worker of its pool can run, ever: failed, with the reason.
local job, spec, result, output, waiting, dependents, asked, scheduled, outbox, expiring, settling, replies, run_hash, run_jobs, stats = unpack(KEYS)
local id, run, events, reason, cause = unpack(ARGV)
--#include common.inc.lua
--#include ended.inc.lua
local v = redis.call('HMGET', job, 'state', 'run', 'attempt', 'keep', 'dedup', 'epoch')
if not v[1] then return {'gone'} end
if (v[2] or '') ~= run then return {'run', v[2] or ''} end
if v[1] ~= 'queued' then return {'none', v[1]} end
redis.call('ZREM', outbox, id)
redis.call('ZREM', scheduled, id)
redis.call('ZREM', expiring, id)
redis.call('HDEL', job, 'refusals', 'refused_at')
return finish('queued', 'failed', {attempt = v[3], epoch = v[6], dedup = v[5], keep = v[4]}, 'reason', reason, 'error', cause)
