--- The chat buffer: a Markdown conversation; what stands under the last `## You` is sent with <CR> in normal mode.
local markdown = require('codeface.markdown')
local stream = require('codeface.stream')

local M = {}

local NAME = 'codeface://chat'
local YOU, IT = '## You', '## CodeFace'
local skills = { '/explain', '/fix', '/tests', '/doc', '/refactor', '/search', '/lesson' }

--- The conversation on the screen: its id once the server gave one, the window of the code, what cancels the answer.
local state = { conversation = nil, code = nil, cancel = nil, bufnr = nil }

local function client()
  local found = require('codeface').client()
  if not found then
    vim.notify('CodeFace is not running; open a file, or see :checkhealth codeface', vim.log.levels.WARN)
  end
  return found
end

--- Complete slash commands and `@` names of open files (an 'omnifunc').
function M.omnifunc(findstart, base)
  if findstart == 1 then
    local before = vim.api.nvim_get_current_line():sub(1, vim.api.nvim_win_get_cursor(0)[2])
    local start = before:find('[/@]%S*$')
    return start and start - 1 or -3
  end
  local found = {}
  if base:sub(1, 1) == '/' then
    found = vim.deepcopy(skills)
  else
    for _, bufnr in ipairs(vim.api.nvim_list_bufs()) do
      local name = vim.api.nvim_buf_get_name(bufnr)
      if vim.bo[bufnr].buflisted and name ~= '' and vim.bo[bufnr].buftype == '' then
        found[#found + 1] = '@' .. vim.fn.fnamemodify(name, ':.')
      end
    end
  end
  return vim.tbl_filter(function(item)
    return vim.startswith(item, base)
  end, found)
end

local function prompt_text(bufnr)
  local lines = vim.api.nvim_buf_get_lines(bufnr, 0, -1, false)
  for index = #lines, 1, -1 do
    if lines[index] == YOU then
      return vim.trim(table.concat(vim.list_slice(lines, index + 1), '\n'))
    end
  end
  return ''
end

local function ask_next(bufnr)
  markdown.append(bufnr, '\n\n' .. YOU .. '\n\n')
end

local function answer(bufnr, method, params)
  local server = client()
  if not server then
    return
  end
  markdown.append(bufnr, '\n\n' .. IT .. '\n\n')
  local wrote = false
  state.cancel = stream.request(server, method, params, function(delta)
    wrote = true
    markdown.append(bufnr, delta)
  end, function(err, result)
    state.cancel = nil
    if err then
      markdown.append(bufnr, err.code == -32800 and '\n\n_Stopped._' or ('\n\n_%s_'):format(err.message))
    elseif type(result) == 'table' then
      state.conversation = result.conversationId
      if not wrote then
        markdown.append(bufnr, result.reply or '')
      end
    end
    ask_next(bufnr)
  end)
end

local function code_context()
  local code = state.code
  if not code or not vim.api.nvim_buf_is_valid(code.bufnr) then
    return {}
  end
  local diagnostics = require('codeface.commands').diagnostics(code.bufnr, 0, math.huge)
  return { textDocument = { uri = vim.uri_from_bufnr(code.bufnr) }, range = code.range, diagnostics = diagnostics }
end

--- Send what stands under the last `## You`.
function M.send()
  local message = prompt_text(state.bufnr)
  if message == '' or state.cancel then
    return
  end
  local params = vim.tbl_extend('force', code_context(), { message = message })
  params.conversationId = state.conversation
  answer(state.bufnr, 'codeface/chat', params)
end

--- Stop the answer that is being written.
function M.stop()
  if state.cancel then
    state.cancel()
  end
end

--- Answer the last question again.
function M.regenerate()
  if state.conversation and not state.cancel then
    answer(state.bufnr, 'codeface/chat.regenerate', { conversationId = state.conversation })
  end
end

--- Begin a new conversation.
function M.new()
  M.stop()
  state.conversation = nil
  vim.api.nvim_buf_set_lines(state.bufnr, 0, -1, false, { YOU, '', '' })
end

local function show(conversation)
  M.new()
  state.conversation = conversation.conversationId
  local lines = {}
  for _, turn in ipairs(conversation.turns) do
    if turn.role == 'user' or turn.role == 'assistant' then
      vim.list_extend(lines, { turn.role == 'user' and YOU or IT, '' })
      vim.list_extend(lines, vim.split(turn.content, '\n', { plain = true }))
      lines[#lines + 1] = ''
    end
  end
  vim.list_extend(lines, { YOU, '', '' })
  vim.api.nvim_buf_set_lines(state.bufnr, 0, -1, false, lines)
end

--- Choose an earlier conversation to go on with.
function M.history()
  local server = client()
  if not server then
    return
  end
  stream.request(server, 'codeface/chat.list', {}, function() end, function(err, result)
    local conversations = type(result) == 'table' and (result.conversations or result) or {}
    if err or #conversations == 0 then
      vim.notify('CodeFace: ' .. (err and err.message or 'no earlier conversations'))
      return
    end
    vim.ui.select(conversations, {
      prompt = 'Conversation',
      format_item = function(item)
        return item.title or item.conversationId
      end,
    }, function(choice)
      if choice then
        stream.request(server, 'codeface/chat.get', { conversationId = choice.conversationId }, function() end, function(problem, whole)
          if problem then
            vim.notify('CodeFace: ' .. problem.message, vim.log.levels.ERROR)
          else
            show(whole)
          end
        end)
      end
    end)
  end)
end

--- Put the code block under the cursor into the code window, over what was selected there.
function M.insert_block()
  local block = markdown.block_at_cursor()
  local code = state.code
  if not block or not code or not vim.api.nvim_buf_is_valid(code.bufnr) then
    vim.notify('CodeFace: no code block here, or no file to put it in', vim.log.levels.WARN)
    return
  end
  local window = vim.fn.bufwinid(code.bufnr)
  local row = window >= 0 and vim.api.nvim_win_get_cursor(window)[1] or vim.api.nvim_buf_line_count(code.bufnr)
  vim.api.nvim_buf_set_lines(code.bufnr, row, row, false, block)
end

--- Put the code block under the cursor into the unnamed register.
function M.copy_block()
  local block = markdown.block_at_cursor()
  if block then
    vim.fn.setreg('"', block, 'l')
    vim.notify(('CodeFace: %d lines copied'):format(#block))
  end
end

local function prepare(bufnr)
  state.bufnr = bufnr
  vim.api.nvim_buf_set_lines(bufnr, 0, -1, false, { YOU, '', '' })
  vim.bo[bufnr].omnifunc = "v:lua.require'codeface.chat'.omnifunc"
  for key, call in pairs({ ['<CR>'] = 'send', ['<C-c>'] = 'stop', gi = 'insert_block', gy = 'copy_block', gr = 'regenerate' }) do
    vim.keymap.set('n', key, M[call], { buffer = bufnr, desc = 'CodeFace chat: ' .. call })
  end
end

--- Open the chat beside the code; a message is sent at once.
---@param message? string
---@param range? lsp.Range what was selected
function M.open(message, range)
  local here = vim.api.nvim_get_current_buf()
  if vim.bo[here].buftype == '' then
    state.code = { bufnr = here, range = range }
  end
  local bufnr, window = markdown.open(NAME)
  if state.bufnr ~= bufnr then
    prepare(bufnr)
  end
  vim.api.nvim_set_current_win(window)
  vim.api.nvim_win_set_cursor(window, { vim.api.nvim_buf_line_count(bufnr), 0 })
  if message and message ~= '' then
    markdown.append(bufnr, message)
    M.send()
  end
end

return M
