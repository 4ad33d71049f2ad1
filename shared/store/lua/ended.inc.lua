-- How a job ends, and when all that is kept of it goes. Needs common, and the keys job, spec, result, output, waiting,
-- dependents, asked, run_hash, run_jobs, stats, settling, replies.
-- free: nothing is owed any more, so the time of keeping begins; everything that there may be (`more`) goes at one instant.
local kept_until = {}
local function free(keep, more)
  local at = kept_until[keep or '']
  if not at then
    at = string.format('%d', now + (tonumber(keep) or 86400) * 1000)
    kept_until[keep or ''] = at
  end
  redis.call('PEXPIREAT', job, at)
  redis.call('PEXPIREAT', spec, at)
  for i = 1, #more do redis.call('PEXPIREAT', more[i], at) end
  if run ~= '' then keep_run(run_hash, run_jobs, at) end
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
-- finish: from state `from` to the end `state`; `h` has what the job's hash holds of attempt, epoch, dedup and keep, in `left` the
-- keys that there may be beside the record and the spec, in `alone` that nobody waits for the end. A call costs more than
-- anything else here.
local function finish(from, state, h, ...)
  redis.call('HSET', job, 'state', state, 'ended_at', stamp, ...)
  move(from, state)
  count(stats, state, 1)
  tell(state, h.attempt)
  local owed, asks = h.dedup, false
  if not h.alone and redis.call('EXISTS', dependents, asked) > 0 then
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
