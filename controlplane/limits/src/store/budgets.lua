-- The accounts of budgets, for count.lua, which follows; what is to be entered is in store/posting.rs.
--
-- An account has two keys. One is a hash: field `r` is the sum of all open reservations, `w` and the beginning of a unit of
-- time what is spent in it, `i` and the name of a request `STATE:BEGINNING:AMOUNT`, where the state is o (open), e (expired
-- and charged) or s (settled). The other one is a sorted set of those `w` and `i` by the time at which they are to be looked
-- at again. Numbers are below 2^53, and never written by `..` or tostring, which would round them.
local MOST = 9007199254740992
-- So many things are looked at in one call, so that a server is not held up; the rest waits for the next one.
local BATCH, BATCHES = 1000, 10

local function text(number) return string.format('%.0f', number) end
local function number(key, field) return tonumber(redis.call('HGET', key, field) or 0) end
local function set(key, field, value) redis.call('HSET', key, field, text(value)) end
local function least(value) return math.min(value, MOST) end

local function record(key, request)
  local known = redis.call('HGET', key, 'i' .. request)
  if not known then return nil end
  local state, start, amount = string.match(known, '^(%a):(%-?%d+):(%d+)$')
  return { state = state, start = start, amount = tonumber(amount) }
end

local function open(key, request)
  local known = record(key, request)
  return known and known.state == 'o' and known.amount or 0
end

local function remember(key, due, request, state, start, amount, till)
  redis.call('HSET', key, 'i' .. request, state .. ':' .. start .. ':' .. text(amount))
  redis.call('ZADD', due, till, 'i' .. request)
end

local function keep_window(due, start, till)
  local known = redis.call('ZSCORE', due, 'w' .. start)
  if not known or tonumber(known) < tonumber(till) then redis.call('ZADD', due, till, 'w' .. start) end
end

local function charge(key, start, amount)
  set(key, 'w' .. start, least(number(key, 'w' .. start) + amount))
end

-- A thing whose time has come. Gives how many reservations have expired.
local function pass(key, due, thing)
  local known = string.sub(thing, 1, 1) == 'i' and record(key, string.sub(thing, 2))
  redis.call('HDEL', key, thing)
  redis.call('ZREM', due, thing)
  if not known or known.state ~= 'o' then return 0 end
  set(key, 'r', number(key, 'r') - known.amount)
  local till = redis.call('ZSCORE', due, 'w' .. known.start)
  if till then
    charge(key, known.start, known.amount)
    remember(key, due, string.sub(thing, 2), 'e', known.start, known.amount, till)
  end
  return 1
end

local function let_pass(key, due, now)
  local expired = 0
  for _ = 1, BATCHES do
    local things = redis.call('ZRANGEBYSCORE', due, '-inf', now, 'LIMIT', 0, BATCH)
    if #things == 0 then break end
    for _, thing in ipairs(things) do expired = expired + pass(key, due, thing) end
  end
  return expired
end

-- Whether a posting does not fit beside what those before it have taken, and how much of that by the name of a request.
local function does_not_fit(posting, taken, taken_by)
  local key, own = posting.key, 0
  if posting.change == 'reserve' then
    local by_request = taken_by[key] or {}
    taken_by[key] = by_request
    own = by_request[posting.request] or open(key, posting.request)
    by_request[posting.request] = posting.amount
  end
  local others = number(key, 'r') + (taken[key] or 0) - own
  taken[key] = (taken[key] or 0) + posting.amount - own
  local left = posting.limit - number(key, 'w' .. posting.start) - others
  return posting.amount > left or left <= 0
end

local enter = {}

function enter.look() end

function enter.spend(posting)
  keep_window(posting.due, posting.start, posting.till)
  charge(posting.key, posting.start, posting.amount)
end

function enter.reserve(posting)
  local key = posting.key
  local others = number(key, 'r') - open(key, posting.request)
  -- So that the sum stays exact.
  local amount = math.min(posting.amount, MOST - others)
  set(key, 'r', others + amount)
  keep_window(posting.due, posting.start, posting.till)
  remember(key, posting.due, posting.request, 'o', posting.start, amount, posting.lease_end)
end

function enter.settle(posting)
  local key, known, amount, start = posting.key, record(posting.key, posting.request), posting.amount, nil
  if known and known.state == 's' then return end
  if known then
    start, amount = known.start, amount or known.amount
    if known.state == 'o' then
      set(key, 'r', number(key, 'r') - known.amount)
    else
      set(key, 'w' .. start, math.max(number(key, 'w' .. start) - known.amount, 0))
    end
  else
    if not amount or amount == 0 then return end
    start = posting.start
    keep_window(posting.due, start, posting.till)
  end
  charge(key, start, amount)
  remember(key, posting.due, posting.request, 's', start, 0, posting.remembered_till)
end

-- Both keys are of use until the last thing is looked at again.
local function set_lifetime(key, due, now)
  local last = redis.call('ZRANGE', due, -1, -1, 'WITHSCORES')[2]
  if not last then
    redis.call('DEL', key, due)
    return
  end
  local lifetime = text(math.max(tonumber(last) - tonumber(now), 1))
  redis.call('PEXPIRE', key, lifetime)
  redis.call('PEXPIRE', due, lifetime)
end

