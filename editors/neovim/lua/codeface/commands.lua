--- `:CodeFace <what>`: each name below is a sub-command.
local M = {}

local function with_client(call)
  local client = require('codeface').client()
  if client then
    return call(client)
  end
  vim.notify('CodeFace is not running here; see :checkhealth codeface', vim.log.levels.WARN)
end

local function request(method, params, done)
  with_client(function(client)
    require('codeface.stream').request(client, method, params, function() end, function(err, result)
      if err then
        vim.notify('CodeFace: ' .. err.message, vim.log.levels.ERROR)
      elseif done then
        done(result)
      end
    end)
  end)
end

local function execute(command, arguments)
  request('workspace/executeCommand', { command = command, arguments = arguments or {} })
end

--- Diagnostics of the lines, those of linters included, as the server wants them.
function M.diagnostics(bufnr, first, last)
  local found = {}
  local client = require('codeface').client(bufnr)
  for _, diagnostic in ipairs(client and vim.diagnostic.get(bufnr) or {}) do
    if diagnostic.lnum <= last and (diagnostic.end_lnum or diagnostic.lnum) >= first then
      found[#found + 1] = vim.tbl_get(diagnostic, 'user_data', 'lsp')
        or {
          message = diagnostic.message,
          severity = diagnostic.severity,
          source = diagnostic.source,
          range = {
            start = { line = diagnostic.lnum, character = diagnostic.col },
            ['end'] = { line = diagnostic.end_lnum or diagnostic.lnum, character = diagnostic.end_col or diagnostic.col },
          },
        }
    end
  end
  return found
end

--- The code action of the server that runs `command`, applied at once.
local function action(command)
  return function(call)
    local line = vim.api.nvim_win_get_cursor(0)[1]
    local first, last = call.range > 0 and call.line1 or line, call.range > 0 and call.line2 or line
    local marks = call.range > 0 and { start = { call.line1, 0 }, ['end'] = { call.line2, 0 } } or nil
    vim.lsp.buf.code_action({
      apply = true,
      range = marks,
      context = { diagnostics = M.diagnostics(0, first - 1, last - 1) },
      filter = function(found)
        local name = type(found.command) == 'table' and found.command.command or found.command
        return name == command
      end,
    })
  end
end

local function selection(call)
  if call.range == 0 then
    return nil
  end
  local last = vim.api.nvim_buf_get_lines(0, call.line2 - 1, call.line2, false)[1] or ''
  local client = require('codeface').client(0)
  local character = #last
  if client and client.offset_encoding ~= 'utf-8' then
    local utf32, utf16 = vim.str_utfindex(last)
    character = client.offset_encoding == 'utf-16' and utf16 or utf32
  end
  return {
    start = { line = call.line1 - 1, character = 0 },
    ['end'] = { line = call.line2 - 1, character = character },
  }
end

local function explain(call)
  with_client(function(client)
    local params = vim.lsp.util.make_position_params(0, client.offset_encoding)
    local range = selection(call) or { start = params.position, ['end'] = params.position }
    local markdown = require('codeface.markdown')
    local bufnr = markdown.open('codeface://explanation')
    vim.api.nvim_buf_set_lines(bufnr, 0, -1, false, { '' })
    local wrote = false
    require('codeface.stream').request(
      client,
      'codeface/explain',
      { textDocument = params.textDocument, range = range },
      function(delta)
        wrote = true
        markdown.append(bufnr, delta)
      end,
      function(err, result)
        if err then
          markdown.append(bufnr, ('\n\n_%s_'):format(err.message))
        elseif not wrote then
          markdown.append(bufnr, result.markdown or '')
        end
      end
    )
  end)
end

local function show_json(title, value)
  local bufnr = require('codeface.markdown').open('codeface://' .. title)
  local lines = { '# ' .. title, '' }
  vim.list_extend(lines, vim.split(vim.inspect(value), '\n', { plain = true }))
  vim.api.nvim_buf_set_lines(bufnr, 0, -1, false, lines)
end

local function context()
  with_client(function(client)
    local params = vim.lsp.util.make_position_params(0, client.offset_encoding)
    request('codeface/context', params, function(result)
      show_json('context', result)
    end)
  end)
end

local function pick_model()
  request('codeface/models', vim.empty_dict(), function(result)
    vim.ui.select(result.models or {}, {
      prompt = 'Model',
      format_item = function(model)
        return model.name or model.id
      end,
    }, function(model)
      if model then
        execute('codeface.model.default', { { model = model.name or model.id } })
      end
    end)
  end)
end

local commands = {
  accept = function()
    require('codeface.inline').accept()
  end,
  chat = function(call, rest)
    require('codeface.chat').open(rest, selection(call))
  end,
  ['chat-new'] = function()
    require('codeface.chat').open()
    require('codeface.chat').new()
  end,
  ['chat-stop'] = function()
    require('codeface.chat').stop()
  end,
  ['chat-history'] = function()
    require('codeface.chat').open()
    require('codeface.chat').history()
  end,
  context = context,
  docstring = action('codeface.docstring'),
  explain = explain,
  fix = action('codeface.fix'),
  models = pick_model,
  pause = function()
    execute('codeface.pause')
  end,
  refactor = action('codeface.refactor'),
  restart = function()
    execute('codeface.restartEngine')
  end,
  resume = function()
    execute('codeface.resume')
  end,
  simplify = action('codeface.simplify'),
  stats = function()
    request('workspace/executeCommand', { command = 'codeface.showStats', arguments = {} }, function(result)
      if result and result ~= vim.NIL then
        show_json('statistics', result)
      end
    end)
  end,
  tests = action('codeface.tests'),
}

--- Run `:CodeFace ...`.
function M.run(call)
  local name = call.fargs[1] or 'chat'
  local command = commands[name]
  if not command then
    vim.notify(('CodeFace: no command `%s`; try :CodeFace <Tab>'):format(name), vim.log.levels.ERROR)
    return
  end
  command(call, table.concat(vim.list_slice(call.fargs, 2), ' '))
end

--- Names that complete a command line.
function M.complete(line)
  local typed = line:match('CodeFace%s+(%S*)$')
  if not typed then
    return {}
  end
  local names = vim.tbl_filter(function(name)
    return vim.startswith(name, typed)
  end, vim.tbl_keys(commands))
  table.sort(names)
  return names
end

return M
