#!lua flags=allow-oom
-- On a predecessor: adds `child` to its dependents, or says how it ended. One that nobody knows yet gets the entry too, as a
-- placeholder; but not from a job that would join it (when 'duplicate'), which is told 'gone'.
local job, dependents = unpack(KEYS)
local id, run, events, child, when = unpack(ARGV)
local h = redis.call('HMGET', job, 'state', 'ended_at', 'epoch', 'reason', 'error', 'exit_code')
if not h[1] then
  if when == 'duplicate' then return {'gone'} end
  redis.call('HSET', dependents, child, when)
  return {'live', ''}
end
if not h[2] then
  redis.call('HSET', dependents, child, when)
  return {'live', h[1]}
end
if h[1] ~= 'succeeded' and when ~= 'duplicate' then
  -- so that a retry of this job finds whom it let be skipped
  redis.call('HSET', dependents, child, when)
  local at = redis.call('PEXPIRETIME', job)
  if at > 0 then redis.call('PEXPIREAT', dependents, at) end
end
return {'ended', h[1], h[3] or '0', h[4] or '', h[5] or '', h[6] or ''}
