#!lua flags=allow-oom
-- settle: the outcome of an attempt, with its token; ends the job or schedules its retry. The same token again gets the same
-- answer. A request to cancel turns all but a success into cancelled.
local job, spec, result, output, waiting, dependents, asked, leases, scheduled, settling, replies, run_hash, run_jobs, stats = unpack(KEYS)
local id, run, events, token, outcome, reason, cause, exit_code, value, tail, retries, delay, dir, progress = unpack(ARGV)
--#include common.inc.lua
--#include ended.inc.lua
--#include settle.inc.lua
--#include succeed.inc.lua
--#include outcome.inc.lua
--#every waits = dependents, asked
--#once local alone = redis.call('EXISTS', unpack(waits)) == 0
local v = redis.call('HMGET', job, 'state', 'run', 'token', 'attempt', 'keep', 'dedup', 'epoch', 'failures', 'cancel_at', 'due_at')
if v[1] == 'scheduled' and v[3] == token and (v[2] or '') == run then return {'retry', v[10]} end
local answer = not_settled(v[1], v[2], v[3], v[7], v[6])
if answer then return answer end
local h = {left = {}, alone = alone}
keep_output(v[4], h.left)
if outcome == 'succeeded' then return succeed(v, h, unpack(left_by_success(v[8]))) end
strike(leases)
h.attempt, h.epoch, h.dedup, h.keep = v[4], v[7], v[6], v[5]
local failures = (tonumber(v[8]) or 0)
local fields = {'reason', reason, 'error', cause}
if exit_code ~= '' then fields[5] = 'exit_code' fields[6] = exit_code elseif v[8] then redis.call('HDEL', job, 'exit_code') end
told_last(fields)
if v[9] then
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
