#!lua flags=allow-oom
-- settle for a success, and resolve for the one dependent, `next`: it begins there and then, which is what a step of a chain comes to, or it still
-- waits for others, as in a fan. Two transitions, each of one job; the second is done on the word of the first, as a worker does it
-- that has the answer. If others wait too, or `next` is ready and cannot begin here, then the job only ends, and its dependents have
-- to be told. next_token: '' where there is no place.
-- The answer is that of the end; with a ninth word where nothing is owed to `next` any more: that of the claim, or {'waits'}. The
-- same tokens again get the same answer.
local job, spec, result, output, dependents, asked, next_job, next_spec, next_waiting, next_dependents, leases, settling, replies, run_hash, run_jobs, stats = unpack(KEYS)
local id, run, events, next, token, value, tail, exit_code, dir, progress, next_token, worker, lease, here, tasks, demands = unpack(ARGV)
--#with value: result
--#with next_token: next_spec, next_dependents
--#include common.inc.lua
--#include ended.inc.lua
--#include settle.inc.lua
--#include succeed.inc.lua
--#include outcome.inc.lua
--#include claim.inc.lua
--#include leaves.inc.lua
--#once local crowded
local function next_record()
  return redis.call('HMGET', next_job, 'state', 'run', 'pool', 'priority', 'task', 'attempt', 'due_at', 'expires_at', 'token', 'failures',
    'via', 'started_at')
end
local function next_claimed(attempt, started, n)
  return claimed(attempt, started, redis.call('GET', next_spec) or '', n[4], n[10], '', next_dependents)
end
-- Whether `next` is ready once this one has succeeded, and may begin here.
local function may_begin(n)
  if n[1] ~= 'waiting' or (n[2] or '') ~= run or n[3] ~= here or n[6] ~= '0' or n[7] or n[8] then return false end
  if demands == '1' and n[11] or not string.find(tasks, ',' .. n[5] .. ',', 1, true) then return false end
  if redis.call('HLEN', next_waiting) ~= 1 then return false end
  local when = redis.call('HGET', next_waiting, id)
  return when == 'succeeded' or when == 'ended'
end
-- The end of this one; `many`: how many dependents have to be told, where that is known.
local function settled(v, many)
  local h = {left = {many and dependents}, many = many}
  keep_output(v[4], h.left)
  return succeed(v, h, unpack(left_by_success(v[8])))
end
-- The answer to an end that owes nothing to a dependent, with what became of `next`.
local function with(answer, epoch, said)
  if not answer[3] then answer = told('succeeded', epoch, nil, 0, false, 0) end
  answer[9] = said
  return answer
end
local v = redis.call('HMGET', job, 'state', 'run', 'token', 'attempt', 'keep', 'dedup', 'epoch', 'failures')
local answer = not_settled(v[1], v[2], v[3], v[7], v[6])
if answer then
  local n = answer[1] == 'ended' and next_token ~= '' and next_record()
  if n and n[1] == 'running' and n[9] == next_token then answer[9] = next_claimed(n[6], n[12], n) end
  return answer
end
local alone = not v[6] and redis.call('HLEN', dependents) == 1
local left = alone and crowd(next_job, next_waiting, id, 'succeeded')
if left then
  answer = settled(v, 0)
  leave(next_job, next_waiting, id, left)
  if answer[3] then return with(answer, v[7], {'waits'}) end
  crowded = crowded or with(answer, nil, {'waits'})
  return crowded
end
local n = alone and next_token ~= '' and next_record()
if not n or not may_begin(n) then return settled(v) end
answer = settled(v, 0)
job, id, token = next_job, next, next_token
redis.call('DEL', next_waiting)
last[job] = nil
redis.call('HDEL', job, 'pending')
tell('queued', 0)
begin(1, 'queued_at', stamp)
move('waiting', 'running')
return with(answer, v[7], next_claimed(1, stamp, n))
