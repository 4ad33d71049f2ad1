#!lua flags=allow-oom
-- The last step of a registration: takes the guard away. `holder` is whom the caller believes the job to have joined ('' for
-- nobody); if that has changed meanwhile, or not all predecessors
-- are there, the caller begins again ('redo').
local job, waiting, scheduled, outbox, settling, run_hash = unpack(KEYS)
local id, run, events, holder = unpack(ARGV)
--#include common.inc.lua
--#include ready.inc.lua
local h = redis.call('HMGET', job, 'state', 'run', 'duplicate_of', 'due_at', 'pool', 'priority', 'attempt', 'task', 'part')
if not h[1] then return {'gone'} end
if (h[2] or '') ~= run then return {'run', h[2] or ''} end
if redis.call('HEXISTS', waiting, '~') == 0 then return {'done', h[1]} end
if (h[3] or '') ~= holder or h[9] then return {'redo'} end
redis.call('HDEL', waiting, '~')
if h[1] ~= 'waiting' then return {'done', h[1]} end
redis.call('ZREM', settling, id)
local left = redis.call('HLEN', waiting)
redis.call('HSET', job, 'pending', left)
if left > 0 then return {'done', 'waiting'} end
redis.call('HDEL', job, 'pending')
return {'done', ready('waiting', h[4], h[7]), h[5], h[6], h[8], stamp}
