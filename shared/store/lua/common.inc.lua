-- The clock that decides, the counters, the event. Needs: id, run, events, run_hash.
local time = redis.call('TIME')
local stamp = time[1] .. string.sub(1000000 + time[2], 2, 4) -- as text: Redis prints a number slowly
local now = tonumber(stamp)
-- What the transitions of one call do to the same counter or index is written once, behind the last of them: counted[key][field],
-- listed[key] = {score, id, …}, moved likewise, struck[key] = {id, …}, enrolled[run's set] = {run's hash, id, …}, stored = {key,
-- value, …} (of keys that nothing else is done to in the call), kept[run's hash] = {run's set, until when at least}, last[hash] =
-- {field, value}. A transition that reads such a key has to add what is counted here.
local counted, listed, moved, struck, enrolled, stored, kept, last = {}, {}, {}, {}, {}, {}, {}, {}
local function count(key, field, by)
  local fields = counted[key]
  if not fields then fields = {} counted[key] = fields end
  fields[field] = (fields[field] or 0) + by
end
local texts = {}
local function text_of(score) -- the same number mostly, and Redis prints it slowly
  if type(score) ~= 'number' then return score end
  texts[score] = texts[score] or string.format('%.0f', score)
  return texts[score]
end
local function gather(into, key, score)
  local members = into[key]
  if not members then members = {} into[key] = members end
  members[#members + 1] = text_of(score)
  members[#members + 1] = id
end
local function list(key, score) gather(listed, key, score) end
local function move_on(key, score) gather(moved, key, score) end -- where it is listed
local function strike(key)
  local members = struck[key]
  if not members then members = {} struck[key] = members end
  members[#members + 1] = id
end
local function put(key, value)
  stored[#stored + 1] = key
  stored[#stored + 1] = value
end
-- A new member of its run, in `state`: what is kept of the run has no expiry then.
local function enrol(run_jobs, state)
  if run == '' then return end
  count(run_hash, 'jobs', 1)
  count(run_hash, state, 1)
  local members = enrolled[run_jobs]
  if not members then members = {run_hash} enrolled[run_jobs] = members end
  members[#members + 1] = id
end
-- Whether the run is not `user`'s: a job of a user's makes a run its user's, and joins no other.
local function foreign_run(user)
  if run == '' or user == '' then return false end
  local owner = redis.call('HGET', run_hash, 'user')
  if owner then return owner ~= user end
  if counted[run_hash] or redis.call('EXISTS', run_hash) == 1 then return true end
  redis.call('HSET', run_hash, 'user', user)
  return false
end
-- A run is kept as long as its jobs; the time begins when the last of them has ended.
local function keep_run(run_hash, run_jobs, at)
  if not kept[run_hash] or tonumber(at) > tonumber(kept[run_hash][2]) then kept[run_hash] = {run_jobs, at} end
end
local function write_kept(run_hash, run_jobs, at)
  local live = redis.call('HMGET', run_hash, 'waiting', 'scheduled', 'queued', 'running', 'keep_until')
  if tonumber(at) > (tonumber(live[5]) or 0) then redis.call('HSET', run_hash, 'keep_until', at) else at = live[5] end
  for i = 1, 4 do
    if (tonumber(live[i]) or 0) > 0 then return end
  end
  redis.call('PEXPIREAT', run_hash, at)
  redis.call('PEXPIREAT', run_jobs, at)
end
local function write_gathered()
  if stored[1] then redis.call('MSET', unpack(stored)) end
  for key, field in pairs(last) do redis.call('HSET', key, unpack(field)) end
  for key, members in pairs(struck) do redis.call('ZREM', key, unpack(members)) end
  for key, members in pairs(listed) do redis.call('ZADD', key, unpack(members)) end
  for key, members in pairs(moved) do redis.call('ZADD', key, 'XX', unpack(members)) end
  for key, fields in pairs(counted) do
    for field, by in pairs(fields) do
      if by ~= 0 then redis.call('HINCRBY', key, field, by) end
    end
  end
  for key, members in pairs(enrolled) do
    redis.call('SADD', key, unpack(members, 2))
    redis.call('PERSIST', members[1])
    redis.call('PERSIST', key)
  end
  for run_hash, run in pairs(kept) do write_kept(run_hash, unpack(run)) end
end
local function move(from, to)
  if run ~= '' then
    count(run_hash, from, -1)
    count(run_hash, to, 1)
  end
end
-- Of many events of a call the fifth and those behind it are not published where nobody could hear them: nobody has subscribed
-- here, and there is no replica where somebody might have.
local told_of, hearers, heard = 0, 0, true
local function tell(state, attempt)
  told_of = told_of + 1
  if told_of == 5 then
    heard = hearers > 0 or not string.find(redis.call('INFO', 'replication'), 'connected_slaves:0', 1, true)
  end
  if heard then
    hearers = hearers + redis.call('PUBLISH', events, id .. ' ' .. state .. ' ' .. (attempt or 0) .. ' ' .. stamp)
  end
end
