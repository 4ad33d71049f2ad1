#!lua
-- revive: a dependent that was skipped for `from`, which is tried again as epoch `since`, waits for it anew. So does one that
-- had joined `from` and was skipped with it ('joined' instead of 'revived': it is to ask for the key after
-- `from` has).
local job, spec, result, output, waiting, dependents, asked, expiring, settling, run_hash, run_jobs = unpack(KEYS)
local id, run, events, from, since = unpack(ARGV)
--#include common.inc.lua
--#include revive.inc.lua
local v = redis.call('HMGET', job, 'state', 'run', 'epoch', 'duplicate_of')
if not v[1] then return {'gone'} end
if (v[2] or '') ~= run then return {'run', v[2] or ''} end
if v[1] ~= 'skipped' and v[1] ~= 'waiting' then return {'none', v[1]} end
local when = redis.call('HGET', waiting, from)
local joined = v[4] == from
if not joined and not when then return {'none', v[1]} end
if v[1] == 'skipped' and redis.call('ZSCORE', settling, id) then return {'busy'} end
if joined then
  if v[1] == 'skipped' then redis.call('DEL', waiting) end
else
  local asks, known = string.match(when, '^(%a+)@?(%d*)$')
  if known == '' or tonumber(known) < tonumber(since) then redis.call('HSET', waiting, from, asks .. '@' .. since) end
end
local word = joined and 'joined' or 'revived'
if v[1] == 'waiting' then
  if redis.call('HEXISTS', waiting, '~') == 1 then return {word, v[3] or '0'} end
  return {'none', v[1]}
end
local epoch = (tonumber(v[3]) or 0) + 1
revive('skipped', epoch)
return {word, tostring(epoch)}
