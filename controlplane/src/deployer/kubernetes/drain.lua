-- What a proxy does before it ends, called by the kubelet (preStop). Tells Envoy to fail its readiness and
-- to close connections with their next response; answers when no request is open, and the kubelet ends
-- Envoy then.
local PATH, LEAST, MOST = "@PATH@", @LEAST@, @MOST@

local function call(handle, cluster, method, path)
  local headers = { [":method"] = method, [":path"] = path, [":authority"] = cluster }
  return handle:httpCall(cluster, headers, "", 5000)
end

-- Requests that are open at listeners of the Gateway.
local function open_requests(handle)
  local _, stats = call(handle, "chancery_admin", "GET", "/stats?filter=downstream_rq_active")
  local open = 0
  for name, count in (stats or ""):gmatch("http%.([^\n]-)%.downstream_rq_active: (%d+)") do
    if name ~= "admin" and name:sub(1, 8) ~= "chancery" then
      open = open + tonumber(count)
    end
  end
  return open
end

function envoy_on_request(handle)
  if handle:headers():get(":path") ~= PATH then
    handle:respond({ [":status"] = "404" }, "")
    return
  end
  call(handle, "chancery_admin", "POST", "/healthcheck/fail")
  for second = 1, MOST do
    call(handle, "chancery_pause", "GET", "/")
    if second >= LEAST and open_requests(handle) == 0 then
      break
    end
  end
  handle:respond({ [":status"] = "200" }, "")
end
