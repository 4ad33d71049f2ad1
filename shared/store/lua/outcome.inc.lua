-- What an attempt leaves beside its result. Needs job, output; tail, exit_code, dir, progress.
-- The end of its output, or none where an earlier attempt left some; its key goes into `left`.
local function keep_output(attempt, left)
  if tail ~= '' then
    redis.call('SET', output, tail)
    left[#left + 1] = output
  elseif attempt ~= '1' then
    redis.call('DEL', output)
  end
end
local function told_last(fields)
  if dir ~= '' then fields[#fields + 1] = 'dir' fields[#fields + 1] = dir end
  if progress ~= '' then fields[#fields + 1] = 'progress' fields[#fields + 1] = progress end
end
-- Of a success; `failures` came before it.
local function left_by_success(failures)
  local fields = {}
  if failures then redis.call('HDEL', job, 'reason', 'error', 'exit_code') end
  if exit_code ~= '' then fields = {'exit_code', exit_code} end
  told_last(fields)
  return fields
end
