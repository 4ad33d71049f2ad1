#!lua flags=allow-oom
-- claim: the one place where a job begins to run. Only from queued, before expires_at (for its first attempt), by a worker of
-- its pool that has its handler (`tasks`: ',a,b,'). Counts the attempt, takes the lease, strikes off the invitation. The
-- same token again gets the same answer. ahead: the worker has no slot free for it yet (consumer/ahead.c). A job that has lost
-- workers is not claimed so: what may be the job's own doing is not to grow by claims that have not begun. timed: the answer says
-- since when the job was queued.
local job, spec, result, output, waiting, dependents, asked, leases, scheduled, outbox, expiring, settling, replies, run_hash, run_jobs, stats = unpack(KEYS)
local id, run, events, token, worker, lease, pool, tasks, want_spec, ahead, demands, timed = unpack(ARGV)
--#include common.inc.lua
--#include ended.inc.lua
--#include claim.inc.lua
local v = redis.call('HMGET', job, 'state', 'run', 'token', 'attempt', 'pool', 'task', 'expires_at', 'priority', 'epoch',
  'dedup', 'keep', 'failures', 'started_at', 'refusals', 'due_at', 'lost')
local state = v[1]
if not state then return {'gone'} end
if (v[2] or '') ~= run then return {'run', v[2] or ''} end
local attempt = tonumber(v[4]) or 0
local function answer(started)
  local body = ''
  if want_spec == '1' then body = redis.call('GET', spec) or '' end
  return claimed(attempt, started, body, v[8], v[12], timed == '1' and redis.call('HGET', job, 'queued_at'),
    dependents)
end
if state == 'running' and v[3] == token then return answer(v[13]) end
if state ~= 'queued' then return {'not', state} end
if v[5] ~= pool then return {'pool', v[5], v[8]} end
if attempt == 0 and v[7] and tonumber(v[7]) <= now then
  redis.call('ZREM', expiring, id)
  redis.call('ZREM', outbox, id)
  redis.call('ZREM', scheduled, id)
  return finish('queued', 'expired', {attempt = 0, epoch = v[9], dedup = v[10], keep = v[11]}, 'reason', 'expired',
    'error', 'its deadline passed before it could start')
end
-- demands '1': the worker takes signed jobs only. What comes by its pool's queues is verified before it is a job; nothing says who
-- sent what came by another's.
local via = demands == '1' and redis.call('HGET', job, 'via')
if via then
  redis.call('ZREM', expiring, id)
  redis.call('ZREM', outbox, id)
  redis.call('ZREM', scheduled, id)
  redis.call('HDEL', job, 'refusals', 'refused_at')
  return finish('queued', 'failed', {attempt = attempt, epoch = v[9], dedup = v[10], keep = v[11]}, 'reason', 'unsigned',
    'error', 'it came by a queue of the pool ' .. via .. ', and its own pool takes only what is signed and comes by its own queues')
end
if not string.find(tasks, ',' .. v[6] .. ',', 1, true) then return {'unknown', v[6], v[8]} end
if ahead == '1' and (tonumber(v[16]) or 0) > 0 then return {'later'} end
attempt = attempt + 1
begin(attempt)
if attempt > 1 or v[14] or v[15] then
  redis.call('HDEL', job, 'refusals', 'refused_at', 'due_at', 'dir', 'progress')
end
strike(outbox)
strike(scheduled)
if v[7] then redis.call('ZREM', expiring, id) end
move('queued', 'running')
return answer(stamp)
