#!lua flags=allow-oom
-- renew: moves the lease of a running attempt on, for its token only. Says whether somebody asked to cancel it.
local job, leases = unpack(KEYS)
local id, run, events, token, lease = unpack(ARGV)
local v = redis.call('HMGET', job, 'state', 'token', 'cancel_at')
if v[1] ~= 'running' or v[2] ~= token then return {'stale', v[1] or ''} end
local time = redis.call('TIME')
redis.call('ZADD', leases, time[1] * 1000 + math.floor(time[2] / 1000) + lease, id)
return {'ok', v[3] or ''}
