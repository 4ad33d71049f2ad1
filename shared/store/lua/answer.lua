#!lua flags=allow-oom
-- What those who asked for a reply are told of an end, and which of a batch of them nobody is telling: they are the caller's for five
-- seconds (`ENCODING@UNTIL`), so that two who meet the job at its end do not both publish.
local job, result, asked, replies = unpack(KEYS)
local id, run, events, cursor = unpack(ARGV)
--#include common.inc.lua
local v = redis.call('HMGET', job, 'reason', 'error', 'exit_code', 'state', 'attempt', 'started_at', 'ended_at', 'epoch')
for i = 1, 8 do v[i] = v[i] or '' end
if v[7] == '' then
  -- tried again meanwhile: its next end owes the replies anew
  redis.call('ZREM', replies, id)
  return {v[1], v[2], v[3], '', v[4], v[5], v[6], v[7], v[8], {}, '0'}
end
local batch = redis.call('HSCAN', asked, cursor, 'COUNT', 100)
local all = batch[2]
local taken = {}
for i = 1, #all, 2 do
  local encoding, busy = string.match(all[i + 1], '^(%a+)@?(%d*)$')
  if busy == '' or tonumber(busy) <= now then
    redis.call('HSET', asked, all[i], encoding .. '@' .. string.format('%.0f', now + 5000))
    taken[#taken + 1] = all[i]
    taken[#taken + 1] = encoding
  end
end
return {v[1], v[2], v[3], redis.call('GET', result) or '', v[4], v[5], v[6], v[7], v[8], taken, batch[1]}
