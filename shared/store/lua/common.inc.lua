-- The clock that decides, the counters, the event. Needs: id, run, events, run_hash.
local time = redis.call('TIME')
local stamp = time[1] .. string.sub(1000000 + time[2], 2, 4) -- as text: Redis prints a number slowly
local now = tonumber(stamp)
-- What the transitions of one call do to the same counter or index is written once, behind the last of them: counted[key][field],
-- listed[key] = {score, id, …}, moved likewise, struck[key] = {id, …}, enrolled[run's set] = {run's hash, id, …}. A transition
-- that reads such a key has to add what is counted here.
local counted, listed, moved, struck, enrolled = {}, {}, {}, {}, {}
local function count(key, field, by)
  local fields = counted[key]
  if not fields then fields = {} counted[key] = fields end
  fields[field] = (fields[field] or 0) + by
end
local function gather(into, key, score)
  local members = into[key]
  if not members then members = {} into[key] = members end
  members[#members + 1] = score
  members[#members + 1] = id
end
local function list(key, score) gather(listed, key, score) end
local function move_on(key, score) gather(moved, key, score) end -- where it is listed
local function strike(key)
  local members = struck[key]
  if not members then members = {} struck[key] = members end
  members[#members + 1] = id
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
local function write_counted(key)
  for field, by in pairs(counted[key] or {}) do
    if by ~= 0 then redis.call('HINCRBY', key, field, by) end
  end
  counted[key] = nil
end
local function write_gathered()
  for key in pairs(counted) do write_counted(key) end
  for key, members in pairs(struck) do redis.call('ZREM', key, unpack(members)) end
  for key, members in pairs(listed) do redis.call('ZADD', key, unpack(members)) end
  for key, members in pairs(moved) do redis.call('ZADD', key, 'XX', unpack(members)) end
  for key, members in pairs(enrolled) do
    redis.call('SADD', key, unpack(members, 2))
    redis.call('PERSIST', members[1])
    redis.call('PERSIST', key)
  end
end
local function move(from, to)
  if run ~= '' then
    count(run_hash, from, -1)
    count(run_hash, to, 1)
  end
end
local function tell(state, attempt)
  redis.call('PUBLISH', events, id .. ' ' .. state .. ' ' .. (attempt or 0) .. ' ' .. stamp)
end
