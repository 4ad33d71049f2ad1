#!lua flags=allow-oom
-- A run's counters as they were counted (field, what was seen, what it is), unless they have moved since.
local run_hash = unpack(KEYS)
local id, run, events = unpack(ARGV)
for i = 1, #rest, 3 do
  if (redis.call('HGET', run_hash, rest[i]) or '0') ~= rest[i + 1] then return {'moved'} end
end
for i = 1, #rest, 3 do redis.call('HSET', run_hash, rest[i], rest[i + 2]) end
return {'ok'}
