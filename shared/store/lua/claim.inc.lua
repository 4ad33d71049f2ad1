-- How an attempt begins, whoever decides it, and how that is answered. Needs common; job, leases; token, worker, lease.
-- `dependents`, where the worker is to know the one job that waits for it, if it is one: it may pass on to it (pass.lua).
local function claimed(attempt, started, body, priority, failures, queued_at, dependents)
  local one = dependents and redis.call('HLEN', dependents) == 1 and redis.call('HGETALL', dependents)
  return {'claimed', tostring(attempt), tostring(started), body, priority, failures or '0', queued_at or '',
    one and one[2] ~= 'duplicate' and one[1] or ''}
end
local function begin(attempt, ...)
  redis.call('HSET', job, 'state', 'running', 'attempt', attempt, 'started_at', stamp, 'worker', worker, 'token', token, ...)
  list(leases, now + lease)
  tell('running', attempt)
end
