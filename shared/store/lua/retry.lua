#!lua
-- retry of a job that failed, was cancelled or expired: its epoch goes up and it waits behind a guard until the dependents
-- that were skipped for it are revived.
local job, spec, result, output, waiting, dependents, asked, expiring, settling, run_hash, run_jobs = unpack(KEYS)
local id, run, events = unpack(ARGV)
--#include common.inc.lua
--#include revive.inc.lua
local v = redis.call('HMGET', job, 'state', 'run', 'epoch', 'error', 'duplicate_of')
if not v[1] then return {'gone'} end
if (v[2] or '') ~= run then return {'run', v[2] or ''} end
if v[1] == 'skipped' then return {'skipped', v[4] or ''} end
if v[1] ~= 'failed' and v[1] ~= 'cancelled' and v[1] ~= 'expired' then return {'not', v[1]} end
if redis.call('ZSCORE', settling, id) then return {'busy'} end
local epoch = (tonumber(v[3]) or 0) + 1
-- one that had joined another begins anew: join.lua makes it wait for a holder again, or for its own predecessors
if v[5] then redis.call('UNLINK', waiting) end
revive(v[1], epoch)
return {'revived', tostring(epoch)}
