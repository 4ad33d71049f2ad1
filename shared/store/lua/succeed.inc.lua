-- A success at the first attempt that leaves no more than a result. Needs common, ended, settle; job, result, token, value, leases.
local function settling_record()
  return redis.call('HMGET', job, 'state', 'run', 'token', 'attempt', 'keep', 'dedup', 'epoch')
end
-- `h` has what is known of who waits for the end: `alone`, or how `many`, and `left`: the keys that there may be.
local function succeed(v, h)
  strike(leases)
  if value ~= '' then
    redis.call('SET', result, value)
    h.left[#h.left + 1] = result
  end
  h.attempt, h.epoch, h.dedup, h.keep = v[4], v[7], v[6], v[5]
  return finish('running', 'succeeded', h)
end
