#!lua
-- admit and claim in one: a job that came in a message, waits for nothing and can start here and now. Anything else about
-- it ('known') is left to admit and claim.
local job, spec, asked, leases, run_hash, run_jobs = unpack(KEYS)
local id, run, events, task, pool, priority, body, keep, retries, labels, reply, encoding, token, worker, lease, user = unpack(ARGV)
--#with reply: asked
--#include common.inc.lua
--#every jobs = job
--#once local fresh, made = redis.call('EXISTS', unpack(jobs)) == 0, {}
--#once local claimed, nothing = {'claimed', '1', stamp}, {}
--#once local function add(to, name, value) if value ~= '' then to[#to + 1] = name to[#to + 1] = value end end
if not fresh or made[job] then
  local known = redis.call('HMGET', job, 'state', 'token', 'attempt', 'started_at')
  if known[1] then
    if known[2] == token and known[1] == 'running' then return {'claimed', known[3], known[4]} end
    return {'known', known[1]}
  end
end
if foreign_run(user) then return {'known', ''} end
made[job] = true
local more = nothing
if keep ~= '' or retries ~= '' or labels ~= '' or run ~= '' or user ~= '' then
  more = {}
  add(more, 'keep', keep)
  add(more, 'retries', retries)
  add(more, 'labels', labels)
  add(more, 'run', run)
  add(more, 'user', user)
end
redis.call('HSET', job, 'state', 'running', 'task', task, 'pool', pool, 'priority', priority, 'attempt', '1', 'created_at', stamp,
  'queued_at', stamp, 'started_at', stamp, 'worker', worker, 'token', token, unpack(more))
put(spec, body)
list(leases, now + lease)
if reply ~= '' then redis.call('HSET', asked, reply, encoding) end
enrol(run_jobs, 'running')
tell('running', 1)
return claimed
