#!lua flags=no-writes
-- What is due, read for the caretaker: scheduled jobs, deadlines, overdue invitations with their times, registrations, ends and replies,
-- leases that end within `ahead` ms, with their times, workers not heard of for a lease.
local scheduled, expiring, outbox, settling, replies, leases, workers = unpack(KEYS)
local name, run, events, ahead, lease, limit = unpack(ARGV)
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function before(key, at, ...)
  return redis.call('ZRANGEBYSCORE', key, '-inf', at, ...)
end
return {tostring(now), before(scheduled, now, 'LIMIT', 0, limit), before(expiring, now, 'LIMIT', 0, limit),
  before(outbox, now - 3000, 'WITHSCORES', 'LIMIT', 0, limit), before(settling, now - 5000, 'LIMIT', 0, limit),
  before(replies, now - 5000, 'LIMIT', 0, limit), before(leases, now + ahead, 'WITHSCORES', 'LIMIT', 0, limit),
  before(workers, now - lease, 'LIMIT', 0, limit)}
