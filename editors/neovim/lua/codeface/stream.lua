--- Requests whose answer arrives piece by piece, as `$/progress` of a partial-result token.
local compat = require('codeface.compat')

local M = {}

local listeners = {}
local count = 0

--- Whether a `$/progress` notification was a partial result of ours.
---@param params { token: string|integer, value: any }
function M.progress(params)
  local listener = listeners[params.token]
  if listener and type(params.value) == 'table' and params.value.kind == nil then
    listener(params.value.delta or '')
    return true
  end
  return false
end

--- Send a request; `on_delta(text)` for each piece, then `on_done(err, result)`. Returns a function that cancels.
---@param client vim.lsp.Client
---@param method string
---@param params table
---@param on_delta fun(text: string)
---@param on_done fun(err: table?, result: table?)
---@return fun()
function M.request(client, method, params, on_delta, on_done)
  count = count + 1
  local token = 'codeface-nvim-' .. vim.fn.getpid() .. '-' .. count
  listeners[token] = on_delta
  local function done(err, result)
    if listeners[token] then
      listeners[token] = nil
      on_done(err, result)
    end
  end
  local sent = vim.tbl_extend('force', params, { partialResultToken = token })
  local ok, id = compat.call(client, 'request', method, sent, done)
  return function()
    if not ok or not listeners[token] then
      return
    end
    compat.call(client, 'cancel_request', id)
    -- Neovim drops the answer to a cancelled request, so this is its end.
    if listeners[token] then
      done({ code = -32800, message = 'cancelled' })
    end
  end
end

return M
