#!lua flags=allow-oom
-- A run's counters as they were counted (field, what was seen, what it is), unless they have moved since.
local run_hash = unpack(KEYS)
for i = 4, #ARGV, 3 do
  if (redis.call('HGET', run_hash, ARGV[i]) or '0') ~= ARGV[i + 1] then return {'moved'} end
end
for i = 4, #ARGV, 3 do redis.call('HSET', run_hash, ARGV[i], ARGV[i + 2]) end
return {'ok'}
