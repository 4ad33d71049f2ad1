#!lua flags=no-writes
-- A batch of the dependents of a job that has ended, for whoever tells them. 'stale' where it lives again since: those who
-- wait for it now wait for another end.
local job, dependents = unpack(KEYS)
local id, run, events, epoch, cursor, count = unpack(ARGV)
local v = redis.call('HMGET', job, 'ended_at', 'epoch')
if not v[1] or (v[2] or '0') ~= epoch then return {'stale'} end
return redis.call('HSCAN', dependents, cursor, 'COUNT', count)
