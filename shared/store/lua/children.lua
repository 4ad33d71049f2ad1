#!lua flags=allow-oom
-- A batch of the dependents of a job that has ended, for whoever tells them, whose entry in settling is moved on to now: so it is
-- left alone while batches follow one another, and taken up soon when they do not. 'stale' where it lives again since: those who
-- wait for it now wait for another end.
local job, dependents, settling = unpack(KEYS)
local id, run, events, epoch, cursor, count = unpack(ARGV)
local v = redis.call('HMGET', job, 'ended_at', 'epoch')
if not v[1] or (v[2] or '0') ~= epoch then return {'stale'} end
local time = redis.call('TIME')
redis.call('ZADD', settling, 'XX', 'GT', time[1] * 1000 + math.floor(time[2] / 1000), id)
return redis.call('HSCAN', dependents, cursor, 'COUNT', count)
