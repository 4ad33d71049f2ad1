-- A success. Needs common, ended; job, result, value, leases.
-- `v` has state, run, token, attempt, keep, dedup and epoch of the job; `h` what is known of who waits for the end (`alone`, or how
-- `many`), and `left`: the keys that there may be; what follows are fields.
local function succeed(v, h, ...)
  strike(leases)
  if value ~= '' then
    redis.call('SET', result, value)
    h.left = {result, unpack(h.left)}
  end
  h.attempt, h.epoch, h.dedup, h.keep = v[4], v[7], v[6], v[5]
  return finish('running', 'succeeded', h, ...)
end
