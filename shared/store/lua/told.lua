#!lua flags=allow-oom
-- All dependents have been told and the dedup key is released: strikes the job off settling, unless it has been revived since.
local job, spec, result, output, waiting, dependents, asked, settling, run_hash, run_jobs, stats, replies = unpack(KEYS)
local id, run, events, epoch = unpack(ARGV)
--#include common.inc.lua
--#include ended.inc.lua
--#every more = result, output, waiting, asked
--#once local ok = {'ok'}
--#once local bare = redis.call('EXISTS', unpack(more)) == 0
local v = redis.call('HMGET', job, 'state', 'run', 'ended_at', 'epoch', 'keep')
if not v[1] then
  strike(settling)
  return {'gone'}
end
if (v[2] or '') ~= run then return {'run', v[2] or ''} end
if not v[3] or (v[4] or '0') ~= epoch then return {'none'} end
strike(settling)
if bare or redis.call('EXISTS', asked) == 0 then free(v[5], bare and {dependents} or {result, output, waiting, dependents}) end
return ok
