-- A job that ended lives again, behind a guard. Needs common and the keys that are named here.
local function revive(from, epoch)
  redis.call('HDEL', job, 'reason', 'error', 'exit_code', 'ended_at', 'cancel_at', 'worker', 'dir', 'failures', 'lost',
    'due_at', 'token', 'progress', 'refusals', 'refused_at')
  redis.call('DEL', result, output)
  redis.call('HSET', waiting, '~', '')
  redis.call('HSET', job, 'state', 'waiting', 'epoch', epoch, 'pending', redis.call('HLEN', waiting))
  for _, key in ipairs({job, spec, waiting, dependents, asked}) do redis.call('PERSIST', key) end
  local expires_at = redis.call('HGET', job, 'expires_at')
  if expires_at and tonumber(expires_at) <= now then
    redis.call('HDEL', job, 'expires_at')
  elseif expires_at then
    redis.call('ZADD', expiring, expires_at, id)
  end
  redis.call('ZADD', settling, now, id)
  if run ~= '' then
    redis.call('PERSIST', run_hash)
    redis.call('PERSIST', run_jobs)
  end
  move(from, 'waiting')
  tell('waiting', redis.call('HGET', job, 'attempt'))
end
