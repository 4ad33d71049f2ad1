#!lua flags=allow-oom
-- A job past its deadline whose first attempt has not begun ends as expired.
local job, spec, result, output, waiting, dependents, asked, scheduled, outbox, expiring, settling, replies, run_hash, run_jobs, stats = unpack(KEYS)
local id, run, events = unpack(ARGV)
--#include common.inc.lua
--#include ended.inc.lua
local v = redis.call('HMGET', job, 'state', 'run', 'attempt', 'keep', 'dedup', 'epoch', 'expires_at', 'ended_at', 'duplicate_of')
if v[1] and (v[2] or '') ~= run then return {'run', v[2] or ''} end
if v[1] and v[7] and tonumber(v[7]) > now then return {'none', v[1]} end
redis.call('ZREM', expiring, id)
if not v[1] or not v[7] or v[8] or v[9] or v[1] == 'running' or tonumber(v[3]) > 0 then return {'none', v[1] or ''} end
redis.call('ZREM', outbox, id)
redis.call('ZREM', scheduled, id)
redis.call('ZREM', settling, id)
redis.call('HDEL', waiting, '~')
return finish(v[1], 'expired', {attempt = v[3], epoch = v[6], dedup = v[5], keep = v[4]}, 'reason', 'expired', 'error', 'its deadline passed before it could start')
