#!lua flags=no-writes
-- The fleet's figures, for metrics: how many entries each index has, the lowest time in those that are owed, the first of
-- `settling` and of `outbox` (whose jobs are looked at by themselves), and how often jobs ended.
local scheduled, outbox, settling, replies, leases, workers, stats = unpack(KEYS)
local name, run, events, sample = unpack(ARGV)
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function first(key)
  return redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')[2] or ''
end
return {tostring(now), redis.call('ZCARD', scheduled), redis.call('ZCARD', outbox), redis.call('ZCARD', settling),
  redis.call('ZCARD', replies), redis.call('ZCARD', leases), redis.call('ZCARD', workers), first(scheduled), first(outbox),
  first(replies), redis.call('ZRANGE', settling, 0, sample), redis.call('ZRANGE', outbox, 0, sample), redis.call('HGETALL', stats)}
