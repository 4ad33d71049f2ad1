#!lua flags=allow-oom
-- settle for what most jobs come to: a success at the first attempt that leaves no more than a result.
local job, spec, result, dependents, asked, leases, settling, replies, run_hash, run_jobs, stats = unpack(KEYS)
local id, run, events, token, value = unpack(ARGV)
--#with value: result
--#include common.inc.lua
--#include ended.inc.lua
--#include settle.inc.lua
--#include succeed.inc.lua
--#every waits = dependents, asked
--#once local alone = redis.call('EXISTS', unpack(waits)) == 0
local v = redis.call('HMGET', job, 'state', 'run', 'token', 'attempt', 'keep', 'dedup', 'epoch')
return not_settled(v[1], v[2], v[3], v[7], v[6]) or succeed(v, {left = {}, alone = alone})
