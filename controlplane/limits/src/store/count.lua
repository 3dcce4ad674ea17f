-- Counts the hits of one request; see Store::count. KEYS: the counts. ARGV: five for each: mode, sign, amount, limit,
-- lifetime in milliseconds. Returns two numbers for each: whether it was over its limit, and the count.
local over, refused, asked = {}, false, {}
for i, key in ipairs(KEYS) do
  local mode, sign, amount, limit = ARGV[5 * i - 4], ARGV[5 * i - 3], tonumber(ARGV[5 * i - 2]), tonumber(ARGV[5 * i - 1])
  local before = tonumber(redis.call('GET', key) or 0) + (asked[key] or 0)
  if mode == 'check' then
    over[i] = before >= limit
  elseif mode == 'count' and sign == '+' then
    over[i] = before + amount > limit or (amount == 0 and before >= limit)
    asked[key] = (asked[key] or 0) + amount
  else
    over[i] = false
  end
  refused = refused or over[i]
end
local result = {}
for i, key in ipairs(KEYS) do
  local mode, sign, amount, lifetime = ARGV[5 * i - 4], ARGV[5 * i - 3], tonumber(ARGV[5 * i - 2]), ARGV[5 * i]
  if mode == 'charge' or (mode == 'count' and not refused) then
    local before = tonumber(redis.call('GET', key) or 0)
    local after = sign == '+' and before + amount or math.max(before - amount, 0)
    local is_new = redis.call('PTTL', key) < 0
    redis.call('SET', key, string.format('%.0f', after), 'KEEPTTL')
    if is_new then redis.call('PEXPIRE', key, lifetime) end
  end
end
for i, key in ipairs(KEYS) do
  result[2 * i - 1] = over[i] and 1 or 0
  result[2 * i] = tonumber(redis.call('GET', key) or 0)
end
return result
