-- A job whose predecessors have ended: scheduled, or queued with an invitation owed. Needs common, job, scheduled, outbox.
local function ready(from, due_at, attempt)
  if due_at and tonumber(due_at) > now then
    redis.call('HSET', job, 'state', 'scheduled')
    list(scheduled, due_at)
    move(from, 'scheduled')
    tell('scheduled', attempt)
    return 'scheduled'
  end
  redis.call('HSET', job, 'state', 'queued', 'queued_at', stamp)
  list(outbox, now)
  move(from, 'queued')
  tell('queued', attempt)
  return 'queued'
end
