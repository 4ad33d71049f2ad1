#!lua flags=allow-oom
-- settle: the outcome of an attempt, with its token; ends the job or schedules its retry. The same token again gets the same
-- answer. A request to cancel turns all but a success into cancelled.
local job, spec, result, output, waiting, dependents, asked, leases, scheduled, settling, replies, run_hash, run_jobs, stats = unpack(KEYS)
local id, run, events, token, outcome, reason, cause, exit_code, value, tail, retries, delay, dir, progress = unpack(ARGV)
--#include common.inc.lua
--#include ended.inc.lua
--#include settle.inc.lua
--#every waits = dependents, asked
--#once local alone = redis.call('EXISTS', unpack(waits)) == 0
local v = redis.call('HMGET', job, 'state', 'run', 'token', 'attempt', 'failures', 'cancel_at', 'keep', 'dedup', 'epoch', 'due_at')
if v[1] == 'scheduled' and v[3] == token and (v[2] or '') == run then return {'retry', v[10]} end
local answer = not_settled(v[1], v[2], v[3], v[9], v[8])
if answer then return answer end
strike(leases)
local function told_last(fields)
  if dir ~= '' then fields[#fields + 1] = 'dir' fields[#fields + 1] = dir end
  if progress ~= '' then fields[#fields + 1] = 'progress' fields[#fields + 1] = progress end
end
local left = {}
if tail ~= '' then
  redis.call('SET', output, tail)
  left[1] = output
elseif v[4] ~= '1' then
  redis.call('DEL', output)
end
local h = {attempt = v[4], epoch = v[9], dedup = v[8], keep = v[7], left = left, alone = alone}
if outcome == 'succeeded' then
  if value ~= '' then
    redis.call('SET', result, value)
    left[#left + 1] = result
  end
  if v[5] then redis.call('HDEL', job, 'reason', 'error', 'exit_code') end
  local fields = {}
  if exit_code ~= '' then fields = {'exit_code', exit_code} end
  told_last(fields)
  return finish('running', 'succeeded', h, unpack(fields))
end
local failures = (tonumber(v[5]) or 0)
local fields = {'reason', reason, 'error', cause}
if exit_code ~= '' then fields[5] = 'exit_code' fields[6] = exit_code elseif v[5] then redis.call('HDEL', job, 'exit_code') end
told_last(fields)
if v[6] then
  fields[2] = 'cancelled'
  return finish('running', 'cancelled', h, unpack(fields))
end
failures = failures + 1
redis.call('HSET', job, 'failures', failures, 'retries', retries, unpack(fields))
if delay ~= '' and failures <= tonumber(retries) then
  local due = now + delay
  redis.call('HSET', job, 'state', 'scheduled', 'due_at', due)
  redis.call('ZADD', scheduled, due, id)
  move('running', 'scheduled')
  tell('scheduled', v[4])
  return {'retry', tostring(due)}
end
return finish('running', 'failed', h)
