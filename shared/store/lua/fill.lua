#!lua
-- fill: of a job with more predecessors than one script should write, the next batch goes into waiting. The record's `part` says
-- how many are there: only who knows it adds the next, so each is written once, by whoever finishes the registration, and no
-- predecessor is looked at before all are. at '' asks how far it is.
local job, waiting = unpack(KEYS)
local id, run, events, at, whole = unpack(ARGV)
local h = redis.call('HMGET', job, 'state', 'part')
if not h[1] then return {'gone'} end
if h[1] ~= 'waiting' or redis.call('HEXISTS', waiting, '~') == 0 then return {'late', h[1]} end
if not h[2] then return {'full'} end
if h[2] ~= at then return {'at', h[2]} end
if rest[1] then redis.call('HSET', waiting, unpack(rest)) end
redis.call('HSET', job, 'pending', redis.call('HLEN', waiting))
if whole == '1' then
  redis.call('HDEL', job, 'part')
  return {'full'}
end
local part = string.format('%d', at + #rest / 2)
redis.call('HSET', job, 'part', part)
return {'at', part}
