#!lua flags=no-writes
-- What others are told of an end: to those that joined the job, and to those that asked for a reply.
local job, result, asked = unpack(KEYS)
local id, run, events = unpack(ARGV)
local v = redis.call('HMGET', job, 'reason', 'error', 'exit_code', 'state', 'attempt', 'started_at', 'ended_at', 'epoch')
for i = 1, 8 do v[i] = v[i] or '' end
return {v[1], v[2], v[3], redis.call('GET', result) or '', v[4], v[5], v[6], v[7], v[8], redis.call('HGETALL', asked)}
