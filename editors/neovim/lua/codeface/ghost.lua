--- Ghost text drawn by ourselves, for Neovim 0.10 and 0.11.
local compat = require('codeface.compat')

local M = {}

local namespace = vim.api.nvim_create_namespace('codeface.ghost')
local AUTOMATIC, INVOKED = 2, 1
local PAUSE_MS = 60

--- The suggestion on the screen: { bufnr, client_id, items, index, row, start, column }; nil if there is none.
local shown
local pending = {}
local timer

local function clear()
  if shown and vim.api.nvim_buf_is_valid(shown.bufnr) then
    vim.api.nvim_buf_clear_namespace(shown.bufnr, namespace, 0, -1)
  end
  shown = nil
end

local function cancel()
  if timer then
    timer:stop()
    timer = nil
  end
  if pending.id then
    local client = vim.lsp.get_client_by_id(pending.client_id)
    if client then
      compat.call(client, 'cancel_request', pending.id)
    end
  end
  pending = {}
end

--- The part of an item's text that is not typed yet, nil if what is typed contradicts it.
local function rest(item, line, column, start)
  local text = type(item.insertText) == 'string' and item.insertText or item.insertText.value
  local typed = line:sub(start + 1, column)
  return vim.startswith(text, typed) and text:sub(#typed + 1) or nil, text
end

local function draw(hint)
  vim.api.nvim_buf_clear_namespace(shown.bufnr, namespace, 0, -1)
  local line = vim.api.nvim_buf_get_lines(shown.bufnr, shown.row, shown.row + 1, false)[1]
  local text = rest(shown.items[shown.index], line, shown.column, shown.start)
  if not text or text == '' then
    return clear()
  end
  local lines = vim.split(text, '\n', { plain = true })
  local below = {}
  for index = 2, #lines do
    below[#below + 1] = { { lines[index], 'Comment' } }
  end
  local first = { { lines[1], 'Comment' } }
  if hint then
    first[2] = { hint, 'NonText' }
  end
  vim.api.nvim_buf_set_extmark(shown.bufnr, namespace, shown.row, shown.column, {
    virt_text = first,
    virt_text_pos = 'inline',
    virt_lines = #below > 0 and below or nil,
  })
end

local function received(client, bufnr, at, kind, result)
  local row, column = unpack(vim.api.nvim_win_get_cursor(0))
  local moved = vim.api.nvim_get_current_buf() ~= bufnr or row - 1 ~= at.row or column ~= at.column
  if moved or not vim.startswith(vim.api.nvim_get_mode().mode, 'i') then
    return
  end
  clear()
  local items = result.items or result
  if #items == 0 then
    return
  end
  local start = column
  if items[1].range then
    local line = vim.api.nvim_get_current_line()
    local character = items[1].range.start.character
    start = client.offset_encoding == 'utf-8' and character
      or vim.str_byteindex(line, character, client.offset_encoding ~= 'utf-32')
  end
  shown = {
    bufnr = bufnr,
    client_id = client.id,
    items = items,
    index = (kind == INVOKED and #items > 1) and 2 or 1,
    row = row - 1,
    column = column,
    start = start,
    invoked = kind == INVOKED,
  }
  draw(shown.invoked and (' (%d/%d)'):format(shown.index, #items) or nil)
end

local function request(client, bufnr, kind)
  cancel()
  local params = vim.lsp.util.make_position_params(0, client.offset_encoding)
  params.context = { triggerKind = kind }
  local row, column = unpack(vim.api.nvim_win_get_cursor(0))
  local at = { row = row - 1, column = column }
  local function done(err, result)
    pending = {}
    -- null means that a newer request answers.
    if not err and result and result ~= vim.NIL then
      received(client, bufnr, at, kind, result)
    end
  end
  local _, id = compat.call(client, 'request', 'textDocument/inlineCompletion', params, done, bufnr)
  pending = { id = id, client_id = client.id }
end

--- Keep what is shown if the typed text agrees with it; ask again after a short pause.
local function moved(client, bufnr)
  if shown then
    local row, column = unpack(vim.api.nvim_win_get_cursor(0))
    local line = vim.api.nvim_get_current_line()
    if shown.bufnr == bufnr and shown.row == row - 1 and rest(shown.items[shown.index], line, column, shown.start) then
      shown.column = column
      draw()
    else
      clear()
    end
  end
  cancel()
  timer = vim.defer_fn(function()
    timer = nil
    if vim.api.nvim_get_current_buf() == bufnr and vim.startswith(vim.api.nvim_get_mode().mode, 'i') then
      request(client, bufnr, AUTOMATIC)
    end
  end, PAUSE_MS)
end

--- Draw ghost text in a buffer from now on.
function M.attach(client, bufnr)
  local group = vim.api.nvim_create_augroup('codeface.ghost.' .. bufnr, {})
  vim.api.nvim_create_autocmd({ 'InsertEnter', 'CursorMovedI', 'TextChangedP' }, {
    group = group,
    buffer = bufnr,
    callback = function()
      moved(client, bufnr)
    end,
  })
  vim.api.nvim_create_autocmd('InsertLeave', {
    group = group,
    buffer = bufnr,
    callback = function()
      cancel()
      clear()
    end,
  })
end

--- Accept what is shown, or as much of it as `measure(rest)` says, in bytes; false if nothing is shown.
---@param measure? fun(rest: string): integer
function M.accept(measure)
  local current = shown
  if not current then
    return false
  end
  -- An <expr> mapping may not change the text itself.
  vim.schedule(function()
    local item = current.items[current.index]
    local line = vim.api.nvim_buf_get_lines(current.bufnr, current.row, current.row + 1, false)[1]
    local text, whole = rest(item, line, current.column, current.start)
    if not text then
      return
    end
    cancel()
    clear()
    local length = measure and measure(text) or #text
    local lines = vim.split(text:sub(1, length), '\n', { plain = true })
    local until_column = current.column
    if item.range and length == #text then
      local client = vim.lsp.get_client_by_id(current.client_id)
      local replaced = item.range['end'].character - item.range.start.character
      until_column = math.max(until_column, current.start + (client and replaced or 0))
    end
    vim.api.nvim_buf_set_text(
      current.bufnr, current.row, current.column, current.row, math.min(until_column, #line), lines
    )
    local column = (#lines == 1 and current.column or 0) + #lines[#lines]
    vim.api.nvim_win_set_cursor(0, { current.row + #lines, column })
    local client = vim.lsp.get_client_by_id(current.client_id)
    if length < #text then
      require('codeface.inline').notify_partial(current.client_id, whole, #whole - #text + length, item.command)
    elseif item.command and client then
      if client.exec_cmd then
        client:exec_cmd(item.command, { bufnr = current.bufnr })
      else
        client:_exec_cmd(item.command, { bufnr = current.bufnr })
      end
    end
  end)
  return true
end

--- Show another suggestion; the first time, ask the server for several.
function M.cycle(count)
  local client = require('codeface').client(0)
  if not client then
    return false
  end
  if shown and shown.invoked and #shown.items > 1 then
    shown.index = (shown.index - 1 + count) % #shown.items + 1
    draw((' (%d/%d)'):format(shown.index, #shown.items))
  else
    request(client, vim.api.nvim_get_current_buf(), INVOKED)
  end
  return true
end

--- Take it away; false if nothing is shown.
function M.dismiss()
  local was = shown ~= nil
  cancel()
  clear()
  return was
end

return M
