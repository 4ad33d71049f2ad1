-- The clock that decides, the counters of the run, the event. Needs: id, run, events, run_hash.
local time = redis.call('TIME')
local stamp = time[1] .. string.sub(1000000 + time[2], 2, 4) -- as text: Redis prints a number slowly
local now = tonumber(stamp)
local function move(from, to)
  if run ~= '' then
    redis.call('HINCRBY', run_hash, from, -1)
    redis.call('HINCRBY', run_hash, to, 1)
  end
end
local function tell(state, attempt)
  redis.call('PUBLISH', events, id .. ' ' .. state .. ' ' .. (attempt or 0) .. ' ' .. stamp)
end
