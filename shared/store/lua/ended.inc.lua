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
local function told(state, epoch, dedup, many, owed, asks)
  local children = {}
  if many > 0 and many <= 100 then children = redis.call('HGETALL', dependents) end
  return {'ended', state, epoch or '0', owed and 1 or 0, asks, dedup or '', many, children}
end
-- An epoch that was not read with the rest (nil) is read now.
local function epoch_of(read)
  if read == nil then return redis.call('HGET', job, 'epoch') end
  return read
end
-- Where there is nothing more to do: the same table for all of a call.
local ends = {}
local function only_ended(state)
  ends[state] = ends[state] or {'ended', state}
  return ends[state]
end
-- finish: from state `from` to the end `state`; `h` has what the job's hash holds of attempt, epoch, dedup and keep, in `left` the
-- keys that there may be beside the record and the spec; in `alone` that nobody waits for the end, or in `many` how many have
-- still to be told of it, where that is known. A call costs more than anything else here.
local function finish(from, state, h, ...)
  redis.call('HSET', job, 'state', state, 'ended_at', stamp, ...)
  move(from, state)
  count(stats, state, 1)
  tell(state, h.attempt)
  local many, asks = 0, 0
  if not h.alone then
    many = h.many or redis.call('HLEN', dependents)
    asks = redis.call('EXISTS', asked)
  end
  local owed = h.dedup or many > 0
  if owed then list(settling, now) end
  if asks == 1 then list(replies, now) end
  if not owed and asks == 0 then
    free(h.keep, h.left or {result, output, waiting})
    return only_ended(state)
  end
  return told(state, epoch_of(h.epoch), h.dedup, many, owed, asks)
end
