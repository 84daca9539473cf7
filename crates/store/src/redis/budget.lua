-- The rule of domain/budget.rs on one key, so that all processes book from the same cells.
-- KEYS[1]: the budget. `now` is set by the code in front of this file: it is the server's clock, so
-- that the clocks of the processes do not matter.
-- ARGV: what ('book', 'refused' or 'look'), calls a second, calls a minute or 0, calls a day or 0,
-- calls a cell, reach, periods of a lane, number of the lane; then what the caller knows about the
-- calls of all processes: the day and its calls, an instant and the calls of the minute before it,
-- and the number of calls since then that this budget did not count; and for how long after its
-- start a cell may still be booked.
local what, rate, most_minute, most_day = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local calls, reach, lane_periods, lane = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])
local known_day, known_today = tonumber(ARGV[9]), tonumber(ARGV[10])
local known_at, known_minute, uncounted = tonumber(ARGV[11]), tonumber(ARGV[12]), tonumber(ARGV[13])
local late = tonumber(ARGV[14])
local SECOND, DAY, SEOUL = 1e6, 86400e6, 32400e6
local now_second = math.floor(now / SECOND)

local function forgotten(share, share_at, day, day_before, before)
  return {
    booked = {}, lanes = { 0, 0, 0 }, share = share, share_at = share_at, seconds = {}, day = { day, 0 },
    day_before = day_before, born = now, before = before, asked_at = now,
  }
end
-- Returns the calls since a second, and the oldest second that is counted.
local function made_since(state, second)
  local made, oldest = 0, nil
  local function count(entry)
    if entry[1] >= second then
      made, oldest = made + entry[2], math.min(oldest or entry[1], entry[1])
    end
  end
  for _, entry in ipairs(state.seconds) do count(entry) end
  count(state.before)
  return made, oldest
end
local function share_in_force(state, time)
  return math.min(1, state.share + math.max(0, time - state.share_at) / 50e6)
end
local function is_number(value)
  return type(value) == 'number' and value >= 0
end
local function are_numbers(list, count)
  for _, value in ipairs(list) do
    if not is_number(value) then return false end
  end
  return not count or #list == count
end
local function is_budget(state)
  for place, start in ipairs(state.booked) do
    if place > 1 and start < state.booked[place - 1] then return false end
  end
  for _, entry in ipairs(state.seconds) do
    if not are_numbers(entry, 2) then return false end
  end
  return are_numbers(state.booked) and are_numbers(state.lanes, 3) and are_numbers(state.day, 2)
    and is_number(state.day_before) and are_numbers(state.before, 2) and is_number(state.born)
    and is_number(state.share) and state.share > 0 and state.share <= 1
    and is_number(state.share_at) and is_number(state.asked_at) and is_number(state.opens_at or 0)
end
-- A value that is not a budget, because it is damaged or another program's, counts as missing.
local text = redis.pcall('GET', KEYS[1])
local is_known, state = pcall(cmsgpack.unpack, type(text) == 'string' and text or '')
local is_checked, is_sound = pcall(is_budget, state)
if not (is_known and is_checked and is_sound) then
  state = forgotten(1, 0, 0, 0, { 0, 0 })
elseif now < state.asked_at - SECOND then
  -- The clock was set back: bookings by the old time would block the budget for the difference.
  local made = made_since(state, math.floor(state.asked_at / SECOND) - 60)
  local day, today = state.day[1], state.day_before + state.day[2]
  state = forgotten(share_in_force(state, state.asked_at), now, day, today, { now_second, made })
end
-- A count dated in the future is dropped.
if state.before[1] > now_second + 1 then state.before = { 0, 0 } end
state.asked_at = now
state.share_at = math.min(state.share_at, now)
local share = share_in_force(state, now)

local function keep()
  -- The life exceeds a day, even without a cap on the day: a missing key must mean that the state
  -- was lost.
  redis.call('SET', KEYS[1], cmsgpack.pack(state), 'PX', 90000000)
end

local day = math.floor((now + SEOUL) / DAY)
-- Calls by second, for display only; the rule does not use them.
local paced = is_checked and type(state.paced) == 'table' and pcall(function()
  for _, entry in ipairs(state.paced) do assert(are_numbers(entry, 2)) end
end) and state.paced or {}

if what == 'look' then
  local last_second, last_minute = 0, 0
  for _, entry in ipairs(paced) do
    if entry[1] == now_second - 1 then last_second = last_second + entry[2] end
    if entry[1] >= now_second - 60 and entry[1] < now_second then last_minute = last_minute + entry[2] end
  end
  local today = state.day[1] == day and state.day_before + state.day[2] or 0
  return { tostring(share), last_second, last_minute, today }
end

if what == 'refused' then
  if now - state.share_at >= SECOND then
    share = math.max(share * 0.7, 0.1)
    state.share, state.share_at = share, now
  end
  keep()
  return tostring(share)
end

if state.day[1] ~= day then
  state.day, state.day_before = { day, 0 }, 0
end
if not state.opens_at then state.born = now end
local is_from_before = known_at < state.born
if is_from_before and known_day == day then state.day_before = math.max(state.day_before, known_today) end
state.day[2] = state.day[2] + uncounted
local made = state.day_before + state.day[2]
if most_minute > 0 then
  local held = state.before[1] >= now_second - 60 and state.before[2] or 0
  if is_from_before and known_minute > held then
    state.before = { math.floor(known_at / SECOND), known_minute }
  end
  if uncounted > 0 then
    -- The time of these calls within the last minute is unknown; older calls do not matter.
    state.seconds[#state.seconds + 1] = { now_second, math.min(uncounted, most_minute) }
  end
end

local period = math.max(1, math.ceil(calls * SECOND / (rate * share)))
-- Bookings further ahead than a hundred processes would make are left from before the clock was set
-- back.
local far = now + math.max(500 * period, 10 * SECOND)
local booked = {}
for _, start in ipairs(state.booked) do
  if start + period > now - late and start < far then booked[#booked + 1] = start end
end
state.booked = booked

local function first_gap(from)
  local at = from
  for _, start in ipairs(booked) do
    if start >= at + period then break end
    if start + period > at then at = start + period end
  end
  return at
end

local settles = math.max(SECOND, math.min(5 * period, 6e6))
state.opens_at = math.min(state.opens_at or now + settles, now + settles)
local from = math.max(now, state.opens_at)
local at = first_gap(math.max(state.opens_at, now - late))
local limit = from + reach * period
local on_lane, want = at > limit, at
if on_lane then
  local step = from
  for i = #booked, 1, -1 do
    if booked[i] <= limit then step = booked[i] break end
  end
  want = math.max(limit, math.min(state.lanes[lane], far))
  at = first_gap(step + math.floor((want - step + period - 1) / period) * period)
end

if most_day > 0 and made + calls > most_day then
  keep()
  return { 'day', (day + 1) * DAY - SEOUL - now, 0, day, made, now, (made_since(state, now_second - 60)), 0 }
end
if most_minute > 0 then
  local second = math.floor(at / SECOND)
  local seconds, place = {}, nil
  for _, entry in ipairs(state.seconds) do
    if entry[1] >= now_second - 60 and entry[1] * SECOND < far then
      seconds[#seconds + 1] = entry
      if entry[1] == second then place = entry end
    end
  end
  state.seconds = seconds
  if made_since(state, second - 60) + calls > most_minute then
    keep()
    local held, oldest = made_since(state, now_second - 60)
    return { 'minute', ((oldest or now_second) + 61) * SECOND - now, 0, day, made, now, held, 0 }
  end
  if place then place[2] = place[2] + calls else seconds[#seconds + 1] = { second, calls } end
end
state.day[2] = state.day[2] + calls
if on_lane then state.lanes[lane] = want + math.floor(period * lane_periods) end
local place = 1
while booked[place] and booked[place] < at do place = place + 1 end
table.insert(booked, place, at)
local goes = math.floor(at / SECOND)
local kept, entry = {}, nil
for _, past in ipairs(paced) do
  if past[1] >= now_second - 60 and past[1] <= now_second + 60 then
    kept[#kept + 1] = past
    if past[1] == goes then entry = past end
  end
end
if entry then entry[2] = entry[2] + calls else kept[#kept + 1] = { goes, calls } end
state.paced = kept
keep()
local held = made_since(state, now_second - 60)
return { 'cell', math.max(at - now, 0), period, day, made + calls, now, held, math.max(now - at, 0) }
