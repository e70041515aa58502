--- CodeFace for Neovim: starts the server, turns ghost text on, and maps keys.
local M = {}

---@class codeface.Options
---@field cmd? string[] command that starts the server
---@field settings? table settings of the server, e.g. `{ completion = { multiline = 'never' } }`
---@field inline? boolean ghost text (default true)
---@field native? boolean use Neovim's own inline completion where it has it, 0.12 (default true)
---@field keys? table<string, string|false> keys in insert mode: accept, accept_word, accept_line, next, previous, dismiss
---@field filetypes? string[] only these; nil means all
M.options = {
  cmd = { 'codeface-lsp' },
  settings = {},
  inline = true,
  native = true,
  keys = {
    accept = '<Tab>',
    accept_word = '<M-w>',
    accept_line = '<M-l>',
    next = '<M-]>',
    previous = '<M-[>',
    dismiss = '<C-]>',
  },
  filetypes = nil,
}

local descriptions = {
  accept = 'Accept the suggestion',
  accept_word = 'Accept a word of the suggestion',
  accept_line = 'Accept a line of the suggestion',
  next = 'Next suggestion',
  previous = 'Previous suggestion',
  dismiss = 'Dismiss the suggestion',
}

--- The running client of a buffer, nil if there is none.
---@param bufnr? integer
function M.client(bufnr)
  return vim.lsp.get_clients({ name = 'codeface', bufnr = bufnr })[1]
end

local function map_keys(keys)
  for name, key in pairs(keys) do
    if key then
      -- A key with nothing to accept does what it always did.
      vim.keymap.set('i', key, function()
        return require('codeface.inline')[name]() and '' or key
      end, { expr = true, replace_keycodes = true, desc = 'CodeFace: ' .. descriptions[name] })
    end
  end
end

local function server_config(options)
  return {
    name = 'codeface',
    cmd = options.cmd,
    filetypes = options.filetypes,
    root_markers = { '.git', 'pyproject.toml', 'package.json', 'Cargo.toml', 'go.mod' },
    init_options = options.settings,
    capabilities = { textDocument = { inlineCompletion = { dynamicRegistration = false } } },
    handlers = {
      ['codeface/didChangeStatus'] = function(_, status)
        require('codeface.status').changed(status)
      end,
      ['$/progress'] = function(err, params, ctx)
        if not require('codeface.stream').progress(params) then
          vim.lsp.handlers['$/progress'](err, params, ctx)
        end
      end,
    },
    on_exit = function()
      vim.schedule(function()
        require('codeface.status').changed({ state = 'stopped', kind = 'Inactive' })
      end)
    end,
  }
end

--- Neovim 0.10 has no `vim.lsp.enable`: start the server for each buffer of a file.
local function start_by_autocommand(config, group)
  vim.api.nvim_create_autocmd('FileType', {
    group = group,
    callback = function(event)
      local wanted = not config.filetypes or vim.tbl_contains(config.filetypes, event.match)
      if vim.bo[event.buf].buftype == '' and wanted then
        config.root_dir = vim.fs.root(event.buf, config.root_markers) or vim.fn.getcwd()
        config.capabilities =
          vim.tbl_deep_extend('force', vim.lsp.protocol.make_client_capabilities(), config.capabilities)
        vim.lsp.start(config, { bufnr = event.buf })
      end
    end,
  })
end

--- Start CodeFace for every file that is opened from now on, and for those that are open.
---@param options? codeface.Options
function M.setup(options)
  M.options = vim.tbl_deep_extend('force', M.options, options or {})
  local config = server_config(M.options)
  local group = vim.api.nvim_create_augroup('codeface', {})
  vim.api.nvim_create_autocmd('LspAttach', {
    group = group,
    callback = function(event)
      local client = vim.lsp.get_client_by_id(event.data.client_id)
      if client and client.name == 'codeface' and M.options.inline then
        require('codeface.inline').attach(client, event.buf)
      end
    end,
  })
  if vim.lsp.enable then
    vim.lsp.config('codeface', config)
    vim.lsp.enable('codeface')
  else
    start_by_autocommand(config, group)
    for _, bufnr in ipairs(vim.api.nvim_list_bufs()) do
      if vim.api.nvim_buf_is_loaded(bufnr) and vim.bo[bufnr].filetype ~= '' then
        vim.api.nvim_exec_autocmds('FileType', { group = group, buffer = bufnr, modeline = false })
      end
    end
  end
  map_keys(M.options.keys)
end

return M
