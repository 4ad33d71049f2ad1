#!lua flags=allow-oom
-- How often jobs have ended (state, at least): never lower than how many there are. It goes up meanwhile, and never down.
local stats = unpack(KEYS)
for i = 4, #ARGV, 2 do
  if (tonumber(redis.call('HGET', stats, ARGV[i])) or 0) < tonumber(ARGV[i + 1]) then
    redis.call('HSET', stats, ARGV[i], ARGV[i + 1])
  end
end
return {'ok'}
