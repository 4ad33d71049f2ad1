#!lua flags=allow-oom
-- mend: brings the indices of one job, its times of keeping, its place in its run and its count of predecessors in line with
-- its record, whatever they were; of a job without a record it removes what is left. Says what it did. `again` '1': a job
-- that waits gets its guard back, so that its registration is done again (fleet_resume); where nothing is left of what it
-- waited for, those that follow (predecessor, when) are put back.
local job, spec, result, output, waiting, dependents, asked, leases, scheduled, expiring, outbox, settling, replies, run_hash, run_jobs = unpack(KEYS)
local id, run, events, lease, again = unpack(ARGV)
--#include common.inc.lua
local v = redis.call('HMGET', job, 'state', 'run', 'attempt', 'due_at', 'expires_at', 'duplicate_of', 'ended_at', 'pending')
local state = v[1]
if state and (v[2] or '') ~= run then return {'run', v[2] or ''} end
local live = state == 'waiting' or state == 'scheduled' or state == 'queued' or state == 'running'
if state and live == (v[7] and true or false) then return {'unclear'} end
if not state and redis.call('EXISTS', job) == 1 then return {'unclear'} end
local did = {}
local function done(count, words)
  if count and count > 0 then did[#did + 1] = words end
end
local function strike(key, name) done(redis.call('ZREM', key, id), 'struck off ' .. name) end
local function list(key, name, at) done(redis.call('ZADD', key, 'NX', at, id), 'listed in ' .. name) end
local function keep(words, ...)
  for _, key in ipairs({...}) do done(redis.call('PERSIST', key), words) end
end
if state == 'running' then list(leases, 'leases', now + lease) else strike(leases, 'leases') end
if state == 'scheduled' then
  list(scheduled, 'scheduled', v[4] or now)
elseif state ~= 'queued' then
  strike(scheduled, 'scheduled')
end
if not live or state == 'running' or not v[5] then
  strike(expiring, 'expiring')
elseif tonumber(v[3]) == 0 and not v[6] then
  list(expiring, 'expiring', v[5])
end
if state ~= 'queued' then strike(outbox, 'outbox') end
local owed = redis.call('EXISTS', asked) == 1
if state and not live and owed then list(replies, 'replies', now) else strike(replies, 'replies') end
if not state then
  strike(settling, 'settling')
  done(redis.call('DEL', spec, result, output, waiting, asked), 'what was left of it removed')
  return {'ok', did}
end
if live then
  if redis.call('HEXISTS', waiting, '~') == 1 and state == 'waiting' then list(settling, 'settling', now) else strike(settling, 'settling') end
  keep('kept until it has ended', job, spec, waiting, dependents, asked)
  if run ~= '' then keep('its run kept', run_hash, run_jobs) end
elseif owed or redis.call('ZSCORE', settling, id) then
  keep('kept until all is told', job, spec, result, asked)
else
  local at = redis.call('PEXPIRETIME', job)
  for _, key in ipairs(at > 0 and {spec, result, output, waiting, dependents} or {}) do
    if redis.call('PEXPIRETIME', key) ~= at then done(redis.call('PEXPIREAT', key, at), 'goes with its record') end
  end
end
if run ~= '' then done(redis.call('SADD', run_jobs, id), 'made a member of its run') end
if state ~= 'waiting' then return {'ok', did} end
if again == '1' then
  if redis.call('HLEN', waiting) == 0 then
    for i = 1, #rest, 2 do redis.call('HSET', waiting, rest[i], rest[i + 1]) end
  end
  redis.call('HSET', waiting, '~', '')
  redis.call('ZADD', settling, now, id)
  done(1, 'registered again')
end
local entries = redis.call('HLEN', waiting)
if entries ~= tonumber(v[8]) then
  redis.call('HSET', job, 'pending', entries)
  done(1, 'pending counted')
end
return {'ok', did}
