-- How an attempt begins, whoever decides it, and how that is answered. Needs common; job, leases; token, worker, lease.
local function claimed(attempt, started, body, priority, failures, queued_at)
  return {'claimed', tostring(attempt), tostring(started), body, priority, failures or '0', queued_at or ''}
end
local function begin(attempt, ...)
  redis.call('HSET', job, 'state', 'running', 'attempt', attempt, 'started_at', stamp, 'worker', worker, 'token', token, ...)
  list(leases, now + lease)
  tell('running', attempt)
end
