#!lua flags=allow-oom
-- A worker goes (`instance`: only if the name is still its own), or is found gone (`since`: only if its last sign of life is
-- not newer).
local workers, worker, idle = unpack(KEYS)
local name, pool, events, since, instance = unpack(ARGV)
if instance ~= '' and (redis.call('HGET', worker, 'instance') or instance) ~= instance then return {'other'} end
local at = redis.call('ZSCORE', workers, name)
if since ~= '' and at and tonumber(at) > tonumber(since) then return {'lives'} end
redis.call('ZREM', workers, name)
redis.call('ZREM', idle, name)
redis.call('DEL', worker)
return {'ok'}
