#!lua flags=allow-oom
-- An invitation has been confirmed: it is owed until claimed all the same, but not overdue for five minutes. `since` is when
-- the job was queued that it is for: what is told late says nothing of a job that was queued again.
local job, outbox = unpack(KEYS)
local id, run, events, since = unpack(ARGV)
--#include common.inc.lua
if redis.call('HGET', job, 'queued_at') ~= since then return {'none'} end
move_on(outbox, now + 300000)
return {'ok'}
