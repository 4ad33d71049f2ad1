#!lua
-- admit: writes a job's record and spec. One without predecessors and dedup key is queued or scheduled at once; another
-- waits behind a guard ('~'), listed in settling, until its registration is finished (register.lua). An id that is known
-- gets nothing new but its reply.
-- Of many predecessors only the first are given here: `part` says how many then, and fill.lua adds the rest.
-- via: the pool by whose queue a message came that is for another pool (claim.lua).
-- user: who published it, as the broker vouches. A job, or a run, of another user gives nothing away ('foreign'); the invitation
-- of one that is queued is owed from then on, should the message have been its own before Redis or a queue lost its user.
-- outbox '1': an invitation is owed (the job did not come in a message that is still unacknowledged).
local job, spec, result, waiting, asked, settling, scheduled, expiring, outbox, replies, run_hash, run_jobs = unpack(KEYS)
local id, run, events, task, pool, priority, body, owe, delay, run_at, expires_at, keep, retries, labels, dedup, reply, encoding, user, part, via = unpack(ARGV)
--#with reply: result, asked
--#include common.inc.lua
local known = redis.call('HMGET', job, 'state', 'epoch', 'user')
if known[1] then
  if (known[3] or '') ~= user then
    if known[1] == 'queued' then redis.call('ZADD', outbox, 'NX', now, id) end
    return {'foreign', 'id'}
  end
  local ended = redis.call('HEXISTS', job, 'ended_at')
  if reply ~= '' then
    redis.call('HSETNX', asked, reply, encoding)
    if ended == 1 then
      for _, key in ipairs({job, spec, result, asked}) do redis.call('PERSIST', key) end
      redis.call('ZADD', replies, now, id)
    end
  end
  return {'known', known[1], redis.call('HEXISTS', waiting, '~'), ended, known[2] or '0'}
end
if foreign_run(user) then return {'foreign', 'run'} end
local due
if delay ~= '' then due = now + delay end
if run_at ~= '' and tonumber(run_at) > now then due = tonumber(run_at) end
local state = 'queued'
if rest[1] or dedup ~= '' then state = 'waiting' elseif due then state = 'scheduled' end
local h = {'state', state, 'task', task, 'pool', pool, 'priority', priority, 'attempt', '0', 'created_at', stamp}
local function set(name, value)
  if value and value ~= '' then h[#h + 1] = name h[#h + 1] = value end
end
set('due_at', due)
set('expires_at', expires_at)
set('keep', keep)
set('retries', retries)
set('labels', labels)
set('dedup', dedup)
set('run', run)
set('part', part)
set('via', via)
set('user', user)
if state == 'queued' then set('queued_at', stamp) end
if state == 'waiting' then
  redis.call('HSET', waiting, '~', '')
  if rest[1] then redis.call('HSET', waiting, unpack(rest)) end
  set('pending', redis.call('HLEN', waiting))
  list(settling, stamp)
elseif state == 'scheduled' then
  list(scheduled, due)
elseif owe == '1' then
  list(outbox, stamp)
end
redis.call('HSET', job, unpack(h))
put(spec, body)
if expires_at ~= '' then list(expiring, expires_at) end
if reply ~= '' then redis.call('HSET', asked, reply, encoding) end
enrol(run_jobs, state)
tell(state, 0)
return {'new', state, pool, priority, task, stamp}
