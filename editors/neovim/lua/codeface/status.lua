--- What the server is doing, for a status line: `%{v:lua.require'codeface.status'.line()}`.
local M = {}

--- The last `codeface/didChangeStatus`.
M.current = { state = 'stopped', kind = 'Inactive' }

local words = {
  stopped = '',
  starting = 'starting',
  loading = 'loading',
  ready = '',
  generating = '…',
  paused = 'paused',
  error = 'error',
}

--- Keep a new status; runs `User CodeFaceStatus`.
function M.changed(status)
  M.current = status
  vim.api.nvim_exec_autocmds('User', { pattern = 'CodeFaceStatus', modeline = false })
  vim.cmd.redrawstatus({ bang = true })
end

--- A few characters for a status line; empty when the server is not running.
---@return string
function M.line()
  local status = M.current
  if status.state == 'stopped' then
    return ''
  end
  local text = 'CodeFace'
  local word = words[status.state] or status.state
  if word ~= '' then
    text = text .. ' ' .. word
  end
  if type(status.progress) == 'number' then
    text = text .. (' %d%%'):format(math.floor(status.progress * (status.progress <= 1 and 100 or 1)))
  end
  return text
end

return M
