#!lua flags=allow-oom
-- What an attempt says while it runs, for its token only: its directory, its progress, the end of its output. '' says nothing.
local job, output = unpack(KEYS)
local id, run, events, token, dir, progress, tail = unpack(ARGV)
local v = redis.call('HMGET', job, 'state', 'token')
if v[1] ~= 'running' or v[2] ~= token then return {'stale', v[1] or ''} end
if dir ~= '' then redis.call('HSET', job, 'dir', dir) end
if progress ~= '' then redis.call('HSET', job, 'progress', progress) end
if tail ~= '' then redis.call('SET', output, tail) end
return {'ok'}
