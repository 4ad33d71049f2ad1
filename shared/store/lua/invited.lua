#!lua flags=allow-oom
-- An invitation has been confirmed: it is owed until claimed all the same, but not overdue for five minutes. `since` is when
-- the job was queued that it is for: what is told late says nothing of a job that was queued again.
local job, outbox = unpack(KEYS)
local id, run, events, since = unpack(ARGV)
if redis.call('HGET', job, 'queued_at') ~= since then return {'none'} end
local time = redis.call('TIME')
redis.call('ZADD', outbox, 'XX', time[1] * 1000 + math.floor(time[2] / 1000) + 300000, id)
return {'ok'}
