#!lua flags=allow-oom
-- On a job whose registration is not finished: makes it wait for `holder` alone, or (holder '') for its own predecessors, of
-- which `part` are given here where there are many (fill.lua adds the rest).
local job, waiting, expiring = unpack(KEYS)
local id, run, events, holder, part = unpack(ARGV)
local h = redis.call('HMGET', job, 'state', 'duplicate_of', 'expires_at')
if not h[1] then return {'gone'} end
if redis.call('HEXISTS', waiting, '~') == 0 or h[1] ~= 'waiting' then return {'late', h[1]} end
if (h[2] or '') == holder and (holder == '' or redis.call('HEXISTS', waiting, holder) == 1) then return {'ok'} end
redis.call('UNLINK', waiting)
redis.call('HSET', waiting, '~', '')
if holder == '' then
  if rest[1] then redis.call('HSET', waiting, unpack(rest)) end
  redis.call('HDEL', job, 'duplicate_of')
  if part ~= '' then redis.call('HSET', job, 'part', part) end
  if h[3] then redis.call('ZADD', expiring, h[3], id) end
else
  redis.call('HSET', waiting, holder, 'duplicate')
  redis.call('HSET', job, 'duplicate_of', holder)
  redis.call('HDEL', job, 'part')
  redis.call('ZREM', expiring, id)
end
redis.call('HSET', job, 'pending', redis.call('HLEN', waiting))
return {'ok'}
