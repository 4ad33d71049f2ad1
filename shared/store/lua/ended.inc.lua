-- How a job ends, and when all that is kept of it goes. Needs common, and the keys job, spec, result, output, waiting,
-- dependents, asked, run_hash, run_jobs, stats, settling, replies.
-- free: nothing is owed any more, so the time of keeping begins; everything that there may be (`more`) goes at one instant.
local function free(keep, more)
  local at = string.format('%d', now + (tonumber(keep) or 86400) * 1000)
  redis.call('PEXPIREAT', job, at)
  redis.call('PEXPIREAT', spec, at)
  for i = 1, #more do redis.call('PEXPIREAT', more[i], at) end
  if run == '' then return end
  local live = redis.call('HMGET', run_hash, 'waiting', 'scheduled', 'queued', 'running', 'keep_until')
  if tonumber(at) > (tonumber(live[5]) or 0) then
    redis.call('HSET', run_hash, 'keep_until', at)
  else
    at = live[5]
  end
  local fields = counted[run_hash] or {}
  for i, state in ipairs({'waiting', 'scheduled', 'queued', 'running'}) do
    if (tonumber(live[i]) or 0) + (fields[state] or 0) > 0 then return end
  end
  write_counted(run_hash)
  redis.call('PEXPIREAT', run_hash, at)
  redis.call('PEXPIREAT', run_jobs, at)
end
-- told: what the caller has to do next for a job that ended: 'dedup key, dependents' or nothing, whether replies are owed.
local function told(state, epoch, dedup)
  local children = {}
  local many = redis.call('HLEN', dependents)
  if many > 0 and many <= 100 then children = redis.call('HGETALL', dependents) end
  local owed = redis.call('ZSCORE', settling, id) and 1 or 0
  local asks = redis.call('EXISTS', asked)
  return {'ended', state, epoch or '0', owed, asks, dedup or '', many, children}
end
-- finish: from state `from` to the end `state`; `h` has what the job's hash holds of attempt, epoch, dedup and keep, and in
-- `left` the keys that there may be beside the record and the spec. A call costs more than anything else here.
local function finish(from, state, h, ...)
  redis.call('HSET', job, 'state', state, 'ended_at', stamp, ...)
  move(from, state)
  count(stats, state, 1)
  tell(state, h.attempt)
  local owed, asks = h.dedup, false
  if redis.call('EXISTS', dependents, asked) > 0 then
    owed = owed or redis.call('EXISTS', dependents) == 1
    asks = redis.call('EXISTS', asked) == 1
  end
  if owed then redis.call('ZADD', settling, now, id) end
  if asks then redis.call('ZADD', replies, now, id) end
  if not owed and not asks then
    free(h.keep, h.left or {result, output, waiting})
    return {'ended', state} -- nothing more to do
  end
  return told(state, h.epoch, h.dedup)
end
