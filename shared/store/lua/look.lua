#!lua flags=allow-oom
-- Why a job is listed in settling: 'guarded' (its registration is not finished), 'ended' (its end is not told), or nothing.
local job, waiting, dependents, settling = unpack(KEYS)
local id, run, events = unpack(ARGV)
local v = redis.call('HMGET', job, 'state', 'epoch', 'run', 'ended_at', 'dedup')
if not v[1] then return {'gone'} end
if v[4] then return {'ended', v[2] or '0', v[3] or '', v[1], v[5] or '', redis.call('HLEN', dependents)} end
if redis.call('HEXISTS', waiting, '~') == 1 then return {'guarded', v[2] or '0'} end
redis.call('ZREM', settling, id)
return {'none', v[1]}
