-- What a proxy does before it ends, called by the kubelet (preStop). Tells Envoy to fail its readiness and
-- to close connections with their next response; answers when requests have stopped coming, and the kubelet
-- ends Envoy then.
local PATH, LEAST, MOST = "@PATH@", @LEAST@, @MOST@

-- Seconds without a request after which no more are expected. That none is open says nothing: between two
-- quick ones none is, and the next one would be cut off.
local QUIET = 2

local function call(handle, cluster, method, path)
  local headers = { [":method"] = method, [":path"] = path, [":authority"] = cluster }
  return handle:httpCall(cluster, headers, "", 5000)
end

-- Requests at listeners of the Gateway: those that are open, and all that there have been.
local function requests(handle)
  local _, stats = call(handle, "chancery_admin", "GET", "/stats?filter=downstream_rq_")
  local sums = { active = 0, total = 0 }
  for name, what, count in (stats or ""):gmatch("http%.([^\n]-)%.downstream_rq_(%a+): (%d+)") do
    if sums[what] and name ~= "admin" and name:sub(1, 8) ~= "chancery" then
      sums[what] = sums[what] + tonumber(count)
    end
  end
  return sums.active, sums.total
end

function envoy_on_request(handle)
  if handle:headers():get(":path") ~= PATH then
    handle:respond({ [":status"] = "404" }, "")
    return
  end
  call(handle, "chancery_admin", "POST", "/healthcheck/fail")
  local quiet, before = 0, nil
  for second = 1, MOST do
    call(handle, "chancery_pause", "GET", "/")
    local open, total = requests(handle)
    quiet = (open == 0 and total == before) and quiet + 1 or 0
    before = total
    if second >= LEAST and quiet >= QUIET then
      break
    end
  end
  handle:respond({ [":status"] = "200" }, "")
end
