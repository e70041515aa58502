--- What differs between the versions of Neovim.
local M = {}

--- Call a method of a client: with a dot before Neovim 0.11, with a colon since.
---@param client vim.lsp.Client
---@param method 'request'|'cancel_request'|'notify'
function M.call(client, method, ...)
  if vim.fn.has('nvim-0.11') == 1 then
    return client[method](client, ...)
  end
  return client[method](...)
end

return M
