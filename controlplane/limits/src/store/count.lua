-- Counts the hits of one request and enters its postings; see Store::count. Functions for postings are in budgets.lua, which
-- goes before. KEYS: a count for each hit, then two keys for each posting's account. ARGV: the number of hits, now in
-- milliseconds, when a lease that begins now ends, and until when a request that is settled now is remembered; then five for
-- each hit: mode, sign, amount, limit, lifetime in milliseconds; then seven for each posting: change, request, amount, limit,
-- whether it is an audit's (1), beginning of the unit of time, and until when that is remembered. Returns two numbers for
-- each hit: whether it was over its limit, and the count; and four for each posting: whether it was over, what is spent and
-- reserved, and how many reservations have expired.
local HEAD, OF_HIT, OF_POSTING = 4, 5, 7
local hit_count, now, lease_end, remembered_till = tonumber(ARGV[1]), ARGV[2], ARGV[3], ARGV[4]

local hits = {}
for i = 1, hit_count do
  local first = HEAD + OF_HIT * (i - 1)
  hits[i] = {
    key = KEYS[i], mode = ARGV[first + 1], sign = ARGV[first + 2], amount = tonumber(ARGV[first + 3]),
    limit = tonumber(ARGV[first + 4]), lifetime = ARGV[first + 5],
  }
end
local postings = {}
for i = 1, (#KEYS - hit_count) / 2 do
  local first, key = HEAD + OF_HIT * hit_count + OF_POSTING * (i - 1), hit_count + 2 * i - 1
  postings[i] = {
    key = KEYS[key], due = KEYS[key + 1], change = ARGV[first + 1], request = ARGV[first + 2],
    amount = tonumber(ARGV[first + 3]), limit = tonumber(ARGV[first + 4]), is_audit = ARGV[first + 5] == '1',
    start = ARGV[first + 6], till = ARGV[first + 7], lease_end = lease_end, remembered_till = remembered_till,
  }
end

local refused, asked, taken, taken_by = false, {}, {}, {}
for _, hit in ipairs(hits) do
  local key, amount = hit.key, hit.amount
  local before = tonumber(redis.call('GET', key) or 0) + (asked[key] or 0)
  if hit.mode == 'check' then
    hit.over = before >= hit.limit
  elseif hit.mode == 'count' and hit.sign == '+' then
    hit.over = before + amount > hit.limit or (amount == 0 and before >= hit.limit)
    asked[key] = (asked[key] or 0) + amount
  end
  refused = refused or hit.over
end
for _, posting in ipairs(postings) do
  posting.expired = let_pass(posting.key, posting.due, now)
end
for _, posting in ipairs(postings) do
  if posting.change == 'reserve' or posting.change == 'spend' then
    posting.over = does_not_fit(posting, taken, taken_by)
    refused = refused or (posting.over and not posting.is_audit)
  end
end

for _, hit in ipairs(hits) do
  if hit.mode == 'charge' or (hit.mode == 'count' and not refused) then
    local key = hit.key
    local before = tonumber(redis.call('GET', key) or 0)
    local after = hit.sign == '+' and before + hit.amount or math.max(before - hit.amount, 0)
    local is_new = redis.call('PTTL', key) < 0
    redis.call('SET', key, text(after), 'KEEPTTL')
    if is_new then redis.call('PEXPIRE', key, hit.lifetime) end
  end
end
for _, posting in ipairs(postings) do
  if posting.change ~= 'look' and (posting.change == 'settle' or not refused) then
    enter[posting.change](posting)
    set_lifetime(posting.key, posting.due, now)
  end
end

local result = {}
for _, hit in ipairs(hits) do
  table.insert(result, hit.over and 1 or 0)
  table.insert(result, tonumber(redis.call('GET', hit.key) or 0))
end
for _, posting in ipairs(postings) do
  table.insert(result, posting.over and 1 or 0)
  table.insert(result, number(posting.key, 'w' .. posting.start))
  table.insert(result, number(posting.key, 'r'))
  table.insert(result, posting.expired)
end
return result
