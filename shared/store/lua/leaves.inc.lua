-- Most of a job's many predecessors only leave it: what has to be known of the job for that is read once a call. Needs common; run.
local crowds = {}
-- How many `job` still waits for once it is told that `from` has ended as `state`; nil for anything else about it (the last one, an
-- end that is not asked for, an epoch), which goes the whole way.
local function crowd(job, waiting, from, state)
  local left = crowds[job]
  if not left then
    left = redis.call('HLEN', waiting)
    local h = left > 1 and redis.call('HMGET', job, 'state', 'run')
    if not h or h[1] ~= 'waiting' or (h[2] or '') ~= run then left = 0 end
  end
  local when = left > 1 and redis.call('HGET', waiting, from)
  if not when or when ~= state and when ~= 'ended' then
    crowds[job] = nil
    return nil
  end
  return left - 1
end
local function leave(job, waiting, from, left)
  redis.call('HDEL', waiting, from)
  crowds[job] = left
  last[job] = {'pending', left}
end
