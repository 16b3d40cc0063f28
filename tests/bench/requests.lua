-- What wrk sends. Arguments: what (charge, hold, batch or balance), a name for this run, how many subscriptions there are, and
-- how many charges a batch has. Generation ids are unique: run, thread and count.
local threads = 0
local IN_BETWEEN = 1024

function setup(thread)
  thread:set("number", threads)
  threads = threads + 1
end

local function subscription()
  return string.format("00000000-0000-4000-8000-%012x", math.random(subscriptions))
end

local function generation()
  count = count + 1
  return string.format('"generation_id":"%s-%d-%08x","model":"lyria-3"', run, number, count)
end

local makers = {}

function makers.charge()
  return wrk.format("POST", "/v1/subscriptions/" .. subscription() .. "/charges", nil, "{" .. generation() .. "}")
end

-- Holds and captures in turn. A thread captures what it held so many holds ago that no connection is still at it.
-- The first hold that it makes stays: wrk only looks at the first request of a script, and does not send it.
function makers.hold()
  turn = not turn
  if turn or #held - captured < IN_BETWEEN then
    local path = "/v1/subscriptions/" .. subscription() .. "/holds"
    local name = generation()
    held[#held + 1] = path .. "/" .. name:match('"generation_id":"([^"]+)"') .. "/capture"
    return wrk.format("POST", path, nil, "{" .. name .. "}")
  end
  captured = captured + 1
  local path = held[captured]
  held[captured] = false
  return wrk.format("POST", path, nil, "{}")
end

function makers.balance()
  return wrk.format("GET", "/v1/subscriptions/" .. subscription() .. "/balance")
end

function makers.batch()
  local charges = {}
  for place = 1, batch_size do
    charges[place] = '{"subscription_id":"' .. subscription() .. '",' .. generation() .. "}"
  end
  return wrk.format("POST", "/v1/charges/batch", nil, '{"charges":[' .. table.concat(charges, ",") .. "]}")
end

function makers.noop()
  return wrk.format("GET", "/noop")
end

function init(args)
  what, run, subscriptions, batch_size = args[1], args[2], tonumber(args[3]), tonumber(args[4])
  count, held, captured, turn = 0, {}, 1, false
  math.randomseed(os.time() * 64 + number)
  request = makers[what]
end

function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    '\n{"requests": %d, "seconds": %f, "refused": %d, "broken": %d, "p50_ms": %f, "p99_ms": %f}\n',
    summary.requests, summary.duration / 1e6, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3
  ))
end
