-- Most of a job's many predecessors only leave it: what has to be known of the job for that is read once a call. Answers how many
-- are left; nil for anything else about it (the last one, an end that is not asked for, an epoch), which goes the whole way.
-- Needs common; job, waiting; from, state.
local crowds = {}
local function leaves()
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
  redis.call('HDEL', waiting, from)
  crowds[job] = left - 1
  last[job] = {'pending', left - 1}
  return left - 1
end
