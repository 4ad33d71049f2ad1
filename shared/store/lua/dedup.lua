#!lua flags=allow-oom
-- take: the key is the caller's if nobody has it, or if who has it is `stale` (found ended or gone). Says who has it now.
-- release: at the end of its job; after a success it stays, for jobs that reuse, a little longer than the record.
local dedup = unpack(KEYS)
local key, run, events, verb, id, more = unpack(ARGV)
local holder = redis.call('GET', dedup)
if verb == 'take' then
  if not holder or holder == more or holder == id then
    redis.call('SET', dedup, id)
    return {id}
  end
  return {holder}
end
if holder == id then
  if more == '' then redis.call('DEL', dedup) else redis.call('PEXPIRE', dedup, more) end
end
return {'ok'}
