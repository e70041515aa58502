--- Ghost text: Neovim's own where it has it (0.12), else `codeface.ghost`. Both accept by item, by line and by word.
local M = {}

--- Neovim's inline completion of a buffer; its state is private to Neovim, hence the guards.
local function completor(bufnr)
  local found, capability = pcall(require, 'vim.lsp._capability')
  local class = found and capability.all and capability.all.inline_completion
  return class and class.active and class.active[bufnr]
end

local function native()
  return vim.lsp.inline_completion ~= nil and require('codeface').options.native
end

--- Turn ghost text on in a buffer.
---@param client vim.lsp.Client
---@param bufnr integer
function M.attach(client, bufnr)
  if not client.server_capabilities.inlineCompletionProvider then
    return
  end
  if native() then
    vim.lsp.inline_completion.enable(true, { client_id = client.id })
  else
    require('codeface.ghost').attach(client, bufnr)
  end
end

--- Length in bytes of the first word of `text`, with the white space before it.
---@param text string
function M.word_length(text)
  local _, last = text:find('^%s*[%w_\128-\255]+')
  if not last then
    _, last = text:find('^%s*[^%s%w_\128-\255]+')
  end
  return last or #text
end

--- Length in bytes of the first line of `text`; a line break that it begins with belongs to it.
---@param text string
function M.line_length(text)
  local _, last = text:find('^\n*[^\n]*')
  return last
end

--- What of an item is not in the buffer yet: the text from the cursor on, and where the item begins.
local function rest_of(item, range, bufnr)
  local text = type(item) == 'string' and item or item.value
  if not range then
    return text, 0
  end
  local row, column = unpack(vim.api.nvim_win_get_cursor(0))
  if range.row ~= row - 1 then
    return text, 0
  end
  local typed = vim.api.nvim_buf_get_text(bufnr, range.row, range.col, row - 1, column, {})[1]
  if vim.startswith(text, typed) then
    return text:sub(#typed + 1), #typed
  end
  return text, 0
end

--- Tell the server that a part of a suggestion was taken, in UTF-16 code units as it says.
function M.notify_partial(client_id, text, accepted, command)
  local client = vim.lsp.get_client_by_id(client_id)
  if client then
    local _, utf16 = vim.str_utfindex(text:sub(1, accepted))
    require('codeface.compat').call(client, 'notify', 'textDocument/didPartiallyAcceptCompletion', {
      item = { insertText = text, command = command },
      acceptedLength = utf16,
    })
  end
end

local function accept_native(measure)
  local bufnr = vim.api.nvim_get_current_buf()
  return vim.lsp.inline_completion.get({
    bufnr = bufnr,
    on_accept = measure and function(item)
      local start_row, start_col
      if item.range then
        start_row, start_col = item.range:to_extmark()
      end
      local rest, typed = rest_of(item.insert_text, item.range and { row = start_row, col = start_col }, bufnr)
      local length = measure(rest)
      if length >= #rest then
        return item
      end
      local text = type(item.insert_text) == 'string' and item.insert_text or item.insert_text.value
      M.notify_partial(item.client_id, text, typed + length, item.command)
      -- Only a whole suggestion may run its command, which counts it as accepted.
      local part = vim.tbl_extend('force', item, { insert_text = text:sub(1, typed + length) })
      part.command = nil
      return part
    end or nil,
  })
end

local function accept(measure)
  if native() then
    return accept_native(measure)
  end
  return require('codeface.ghost').accept(measure)
end

--- Accept the whole suggestion; false if there is none.
function M.accept()
  return accept(nil)
end

--- Accept its next word.
function M.accept_word()
  return accept(M.word_length)
end

--- Accept its next line.
function M.accept_line()
  return accept(M.line_length)
end

local function cycle(count)
  if not native() then
    return require('codeface.ghost').cycle(count)
  end
  local active = completor(vim.api.nvim_get_current_buf())
  if not active then
    return false
  end
  if active:count_items() > 1 then
    vim.lsp.inline_completion.select({ count = count })
    return true
  end
  -- Typing asks for one suggestion; asking for the next one asks the server for several.
  active:request(vim.lsp.protocol.InlineCompletionTriggerKind.Invoked)
  return true
end

--- Show the next suggestion; asks for several if only one is known.
function M.next()
  return cycle(1)
end

--- Show the previous suggestion.
function M.previous()
  return cycle(-1)
end

--- Take the suggestion away.
function M.dismiss()
  if not native() then
    return require('codeface.ghost').dismiss()
  end
  local active = completor(vim.api.nvim_get_current_buf())
  if active and active.current then
    active:abort()
    return true
  end
  return false
end

return M
