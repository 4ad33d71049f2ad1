#!lua flags=allow-oom
-- A queued job that this worker cannot run is offered again after a delay that doubles from 50 ms to 5 s; it stays queued and
-- no attempt is counted. Says for how long it has been refused.
local job, scheduled, outbox, run_hash = unpack(KEYS)
local id, run, events = unpack(ARGV)
--#include common.inc.lua
local v = redis.call('HMGET', job, 'state', 'run', 'refusals', 'refused_at')
if not v[1] then return {'gone'} end
if (v[2] or '') ~= run then return {'run', v[2] or ''} end
if v[1] ~= 'queued' then return {'none', v[1]} end
local refusals = tonumber(v[3]) or 0
local since = tonumber(v[4]) or now
local delay = math.min(5000, 50 * 2 ^ math.min(refusals, 10))
if now - since < 10000 then delay = math.min(delay, 10000 - (now - since)) end
redis.call('HSET', job, 'refusals', refusals + 1, 'refused_at', since)
redis.call('ZADD', scheduled, now + delay, id)
redis.call('ZREM', outbox, id)
return {'deferred', tostring(now - since)}
