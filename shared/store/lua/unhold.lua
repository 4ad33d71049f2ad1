#!lua flags=allow-oom
-- Takes a dedup key, or what is left of one, from a holder that the doctor found ended or gone, unless it has been taken since.
local dedup, tenure = unpack(KEYS)
local key, run, events, holder, held = unpack(ARGV)
if (redis.call('GET', dedup) or '') ~= holder or (redis.call('GET', tenure) or '') ~= held then return {'taken'} end
redis.call('DEL', dedup, tenure)
return {'ok'}
