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
--#once local nothing, h = {}, {alone = redis.call('EXISTS', unpack(waits)) == 0}
-- the epoch is read where it is told
local v = redis.call('HMGET', job, 'state', 'run', 'token', 'attempt', 'keep', 'dedup')
local answer = not_settled(v[1], v[2], v[3], nil, v[6])
if answer then return answer end
h.left = nothing
return succeed(v, h)
