#!lua flags=allow-oom
-- A reply has been confirmed, or nobody takes it: it is owed no more. After the last one the time of keeping begins.
local job, spec, result, output, waiting, dependents, asked, settling, run_hash, run_jobs, stats, replies = unpack(KEYS)
local id, run, events, reply = unpack(ARGV)
--#include common.inc.lua
--#include ended.inc.lua
local v = redis.call('HMGET', job, 'state', 'run', 'ended_at', 'keep')
if v[1] and (v[2] or '') ~= run then return {'run', v[2] or ''} end
if reply ~= '' then redis.call('HDEL', asked, reply) end
if redis.call('EXISTS', asked) == 1 then return {'more'} end
redis.call('ZREM', replies, id)
if v[1] and v[3] and not redis.call('ZSCORE', settling, id) then free(v[4], {result, output, waiting, dependents, asked}) end
return {'ok'}
