-- Takes query parameters off the path. The others stay byte for byte as the client wrote them.

local function decode(text)
  text = string.gsub(text, "%+", " ")
  text = string.gsub(text, "%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end)
  return text
end

function envoy_on_request(handle)
  local headers = handle:headers()
  local path = headers:get(":path")
  local mark = path and string.find(path, "?", 1, true)
  if not mark then return end
  local kept, changed = {}, false
  for pair in string.gmatch(string.sub(path, mark + 1), "[^&]+") do
    if drop[decode(string.match(pair, "^[^=]*"))] then
      changed = true
    else
      kept[#kept + 1] = pair
    end
  end
  if not changed then return end
  path = string.sub(path, 1, mark - 1)
  if #kept > 0 then path = path .. "?" .. table.concat(kept, "&") end
  headers:replace(":path", path)
end
