-- The clock that decides, the counters of the run, the event. Needs: id, run, events, run_hash.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function move(from, to)
  if run ~= '' then
    redis.call('HINCRBY', run_hash, from, -1)
    redis.call('HINCRBY', run_hash, to, 1)
  end
end
local function tell(state, attempt)
  redis.call('PUBLISH', events, id .. ' ' .. state .. ' ' .. (attempt or 0) .. ' ' .. now)
end
