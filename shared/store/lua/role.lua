#!lua flags=allow-oom
-- The caretaker's role: taken where it is free, renewed where it is the caller's, given up with ttl '0'.
local caretaker = unpack(KEYS)
local name, run, events, ttl = unpack(ARGV)
local holder = redis.call('GET', caretaker)
if holder and holder ~= name then return {'other', holder} end
if ttl == '0' then
  redis.call('DEL', caretaker)
  return {'free'}
end
redis.call('SET', caretaker, name, 'PX', ttl)
return {'mine'}
