#!lua flags=allow-oom
-- take: the key is the caller's if nobody has it, or if who has it is `stale` (found ended or gone) and has not taken it
-- again since (`seen`). Says who has it now, and that one's tenure: its epoch, and a token that is another at each taking.
-- release: at the end of its job, unless that has it for a later epoch; after a success it stays, for jobs that reuse, a
-- little longer than the record.
local dedup, tenure = unpack(KEYS)
local key, run, events, verb, id, epoch, more, stale, seen = unpack(ARGV)
local holder, held = redis.call('GET', dedup), redis.call('GET', tenure) or ''
local since = tonumber(string.match(held, '^%d+')) or 0
if verb == 'take' then
  if not holder or holder == id or (holder == stale and held == seen) then
    if holder == id and since > tonumber(epoch) then epoch = since end
    redis.call('SET', dedup, id)
    redis.call('SET', tenure, epoch .. ' ' .. more)
    return {id}
  end
  return {holder, held}
end
if holder == id and since <= tonumber(epoch) then
  for _, name in ipairs({dedup, tenure}) do
    if more == '' then redis.call('DEL', name) else redis.call('PEXPIRE', name, more) end
  end
end
return {'ok'}
