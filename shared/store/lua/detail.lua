#!lua flags=no-writes
-- What those who joined a job are told of its end.
local job, result = unpack(KEYS)
local id, run, events = unpack(ARGV)
local v = redis.call('HMGET', job, 'reason', 'error', 'exit_code', 'state', 'attempt', 'started_at', 'ended_at', 'epoch')
for i = 1, 8 do v[i] = v[i] or '' end
return {v[1], v[2], v[3], redis.call('GET', result) or '', v[4], v[5], v[6], v[7], v[8]}
