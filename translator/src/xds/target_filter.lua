-- What no field of a route can say about targets of requests and of redirects. Constant: what a route
-- wants comes as data, in the context of the filter.

-- `to`: the path, with a query, to send instead of the whole path, or instead of its beginning `from`.
-- The request's own query is joined to it; Envoy's rewrites would write a second question mark.
function envoy_on_request(handle)
  local to = handle:filterContext():get("to")
  if not to then return end
  local from = handle:filterContext():get("from")
  local path, query = handle:headers():get(":path"):match("^([^?]*)%??(.*)$")
  if from then to = to .. path:sub(#from + 1) end
  if query ~= "" then to = to .. "&" .. query end
  handle:headers():replace(":path", to)
end

-- `origin`: what the `Location` of a redirect begins with up to the host (`https://`), and `port`: the
-- port that it shows although the scheme's own is not to be shown. Envoy leaves the port of the request
-- in place unless it writes one itself.
function envoy_on_response(handle)
  local origin = handle:filterContext():get("origin")
  local location = origin and handle:headers():get("location")
  if not location or location:sub(1, #origin) ~= origin then return end
  local stop = location:find("[/?#]", #origin + 1) or #location + 1
  local port = handle:filterContext():get("port")
  if location:sub(stop - #port, stop - 1) ~= port then return end
  handle:headers():replace("location", location:sub(1, stop - #port - 1) .. location:sub(stop))
end
