#!lua flags=allow-oom
-- How often jobs have ended (state, at least): never lower than how many there are. It goes up meanwhile, and never down.
local stats = unpack(KEYS)
local id, run, events = unpack(ARGV)
for i = 1, #rest, 2 do
  if (tonumber(redis.call('HGET', stats, rest[i])) or 0) < tonumber(rest[i + 1]) then
    redis.call('HSET', stats, rest[i], rest[i + 1])
  end
end
return {'ok'}
