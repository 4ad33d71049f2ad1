#!lua flags=allow-oom
-- resolve: tells one dependent that one predecessor has ended, naming the predecessor's epoch. Idempotent: the entry in
-- waiting goes once. The last one makes the job ready; one that ended otherwise than asked makes it skipped, with the entries
-- that were not met kept for a retry. A job that joined its predecessor ends as that ended.
-- token: the caller has a free slot, and begins the job there and then if it becomes ready, is of its pool (`here`) and of
-- one of its tasks: claimed as claim.lua does it, without an invitation. '' where it has none.
local job, spec, result, output, waiting, dependents, asked, leases, scheduled, outbox, expiring, settling, replies, run_hash, run_jobs, stats = unpack(KEYS)
local id, run, events, from, state, epoch, reason, cause, exit_code, value, token, worker, lease, here, tasks, demands = unpack(ARGV)
--#include common.inc.lua
--#include ended.inc.lua
--#include ready.inc.lua
--#include claim.inc.lua
--#include leaves.inc.lua
local others = crowd(job, waiting, from, state)
if others then
  leave(job, waiting, from, others)
  return {'none', 'waiting', others}
end
local v = redis.call('HMGET', job, 'state', 'run', 'due_at', 'pool', 'priority', 'attempt', 'epoch', 'dedup', 'keep', 'task',
  'expires_at', 'failures', 'token', 'started_at')
if not v[1] then return {'gone'} end
if (v[2] or '') ~= run then return {'run', v[2] or ''} end
local function answer(attempt, started) return claimed(attempt, started, redis.call('GET', spec) or '', v[5], v[12], '', dependents) end
if v[1] == 'running' and token ~= '' and v[13] == token then return answer(v[6], v[14]) end
local when = redis.call('HGET', waiting, from)
if v[1] ~= 'waiting' or not when then return {'none', v[1]} end
local h = {attempt = v[6], epoch = v[7], dedup = v[8], keep = v[9]}
local function stop(ends, ...)
  redis.call('HDEL', waiting, '~')
  last[job] = nil
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
  last[job] = {'pending', left}
  return {'none', 'waiting', left}
end
last[job] = nil
redis.call('HDEL', job, 'pending')
local later = v[3] and tonumber(v[3]) > now or v[11] and v[6] == '0' and tonumber(v[11]) <= now
local refused = demands == '1' and redis.call('HGET', job, 'via') -- by the claim, once it is queued
if token ~= '' and v[4] == here and not later and not refused and string.find(tasks, ',' .. v[10] .. ',', 1, true) then
  if v[6] ~= '0' or v[3] then redis.call('HDEL', job, 'due_at', 'dir', 'progress') end
  if v[11] then redis.call('ZREM', expiring, id) end
  tell('queued', v[6])
  begin(v[6] + 1, 'queued_at', stamp)
  move('waiting', 'running')
  return answer(v[6] + 1, stamp)
end
return {'ready', ready('waiting', v[3], v[6]), v[4], v[5], v[10], stamp}
