-- Why an attempt does not settle (any more), or the answer it had; nil where it does. Needs common and ended; token.
local function not_settled(state, in_run, by, epoch, dedup)
  if not state then return {'gone'} end
  if (in_run or '') ~= run then return {'run', in_run or ''} end
  if by == token and state == 'running' then return nil end
  if by == token and redis.call('HEXISTS', job, 'ended_at') == 1 then
    return told(state, epoch_of(epoch), dedup, redis.call('HLEN', dependents), redis.call('ZSCORE', settling, id), redis.call('EXISTS', asked))
  end
  return {'stale', state}
end
