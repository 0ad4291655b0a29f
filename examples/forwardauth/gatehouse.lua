-- The action "gatehouse" of HAProxy asks Gatehouse about the request. It sets the identity headers,
-- or answers the client with what Gatehouse answers.

local ask = "http://127.0.0.1:3000/auth"
local identity = {
    "x-forwarded-user", "x-forwarded-email", "x-forwarded-preferred-username", "x-forwarded-groups",
    "x-forwarded-groups-truncated", "x-gatehouse-assertion",
}
-- Headers of the connection between the client and HAProxy, and those that are set below.
local skipped = {
    ["connection"] = true, ["content-length"] = true, ["expect"] = true, ["host"] = true, ["keep-alive"] = true,
    ["proxy-connection"] = true, ["te"] = true, ["trailer"] = true, ["transfer-encoding"] = true, ["upgrade"] = true,
    ["x-original-method"] = true, ["x-original-uri"] = true, ["x-original-host"] = true,
}
local returned = {
    "www-authenticate", "retry-after", "cache-control", "vary", "access-control-allow-origin", "access-control-expose-headers",
}

-- body returns the body of the request, or nil if there is none, or not all of it is in the buffer.
-- partial is true then: Gatehouse does not know which tool the request calls.
local function body(txn)
    local length = tonumber(txn.sf:req_hdr("content-length"))
    if length and length > 0 and txn.f:req_body_len() == length then
        return txn.sf:req_body(), false
    end
    return nil, length ~= 0 and (length ~= nil or txn.f:req_body_len() > 0 or txn.sf:req_hdr("transfer-encoding") ~= "")
end

local function reject(txn, status, text, response)
    local reply = txn:reply({ status = status, body = text })
    reply:add_header("content-type", "application/json")
    for _, name in ipairs(returned) do
        for _, value in pairs(response and response.headers[name] or {}) do
            reply:add_header(name, value)
        end
    end
    txn:done(reply)
end

core.register_action("gatehouse", { "http-req" }, function(txn)
    local text, partial = body(txn)
    local headers = {
        ["x-original-method"] = { txn.sf:method() },
        ["x-original-uri"] = { txn.sf:pathq() },
        ["x-original-host"] = { txn.sf:req_hdr("host") },
    }
    for name, values in pairs(txn.http:req_get_headers()) do
        if not skipped[name] then
            headers[name] = {}
            for _, value in pairs(values) do
                table.insert(headers[name], value)
            end
        end
    end
    headers["x-envoy-auth-partial-body"] = { tostring(partial) }
    local response = core.httpclient():post({ url = ask, headers = headers, body = text, timeout = 10000 })
    if response == nil or response.status ~= 200 then
        local json = response and response.headers["content-type"] and response.headers["content-type"][0] == "application/json"
        if json then
            reject(txn, response.status, response.body, response)
        else
            reject(txn, 503, '{"error":"temporarily_unavailable","error_description":"sign-in is not available, try again later"}')
        end
        return
    end
    for _, name in ipairs(identity) do
        local values = response.headers[name]
        if values and values[0] ~= "" then
            txn.http:req_set_header(name, values[0])
        end
    end
    if response.headers["access-control-allow-origin"] then
        txn:set_var("txn.gatehouse_origin", response.headers["access-control-allow-origin"][0])
        txn:set_var("txn.gatehouse_expose", response.headers["access-control-expose-headers"][0])
    end
end)
