#!lua flags=allow-oom
-- resolve: tells one dependent that one predecessor has ended, naming the predecessor's epoch. Idempotent: the entry in
-- waiting goes once. The last one makes the job ready; one that ended otherwise than asked makes it skipped, with the entries
-- that were not met kept for a retry. A job that joined its predecessor ends as that ended.
local job, spec, result, output, waiting, dependents, asked, scheduled, outbox, expiring, settling, replies, run_hash, run_jobs, stats = unpack(KEYS)
local id, run, events, from, state, epoch, reason, cause, exit_code, value = unpack(ARGV)
--#include common.inc.lua
--#include ended.inc.lua
--#include ready.inc.lua
local v = redis.call('HMGET', job, 'state', 'run', 'due_at', 'pool', 'priority', 'attempt', 'epoch', 'dedup', 'keep', 'task')
if not v[1] then return {'gone'} end
if (v[2] or '') ~= run then return {'run', v[2] or ''} end
local when = redis.call('HGET', waiting, from)
if v[1] ~= 'waiting' or not when then return {'none', v[1]} end
local h = {attempt = v[6], epoch = v[7], dedup = v[8], keep = v[9]}
local function stop(ends, ...)
  redis.call('HDEL', waiting, '~')
  redis.call('HSET', job, 'pending', redis.call('HLEN', waiting))
  redis.call('ZREM', settling, id)
  redis.call('ZREM', expiring, id)
  return finish('waiting', ends, h, ...)
end
if when == 'duplicate' then
  redis.call('HDEL', waiting, from)
  if value ~= '' then redis.call('SET', result, value) end
  local fields = {}
  if reason ~= '' then fields = {'reason', reason, 'error', cause} end
  if exit_code ~= '' then fields[#fields + 1] = 'exit_code' fields[#fields + 1] = exit_code end
  h.dedup = nil
  return stop(state, unpack(fields))
end
local asks, since = string.match(when, '^(%a+)@?(%d*)$')
if since ~= '' and tonumber(epoch) < tonumber(since) then return {'none', v[1]} end
if asks ~= 'ended' and asks ~= state then
  return stop('skipped', 'reason', 'predecessor', 'error', 'predecessor ' .. from .. ' ended as ' .. state .. ', asked for was ' .. asks)
end
redis.call('HDEL', waiting, from)
local left = redis.call('HLEN', waiting)
if left > 0 then
  redis.call('HSET', job, 'pending', left)
  return {'none', 'waiting'}
end
redis.call('HDEL', job, 'pending')
return {'ready', ready('waiting', v[3], v[6]), v[4], v[5], v[10], stamp}
