--- `:checkhealth codeface`: what Neovim can say, then what `codeface doctor` says.
local M = {}

local function neovim()
  if vim.fn.has('nvim-0.12') == 1 then
    vim.health.ok('Neovim draws ghost text itself')
  elseif vim.fn.has('nvim-0.10') == 1 then
    vim.health.ok('Neovim is older than 0.12: CodeFace draws the ghost text')
  else
    vim.health.error('Neovim 0.10 or later is needed', 'Update Neovim')
  end
end

local function server()
  local command = require('codeface').options.cmd[1]
  if vim.fn.executable(command) == 0 then
    vim.health.error(('`%s` is not executable'):format(command), {
      'pipx install "codeface-lsp[local]", or uv tool install "codeface-lsp[local]"',
      'or name it: require("codeface").setup({ cmd = { "/path/to/codeface-lsp" } })',
    })
    return nil
  end
  vim.health.ok(('`%s` is %s'):format(command, vim.fn.exepath(command)))
  local client = require('codeface').client()
  if client then
    vim.health.ok(('the server runs (%s)'):format(vim.tbl_get(client, 'server_info', 'version') or 'version unknown'))
  else
    vim.health.warn('the server does not run', 'Open a file, then look at :lua vim.cmd.edit(vim.lsp.log.get_filename())')
  end
  return vim.fs.joinpath(vim.fs.dirname(vim.fn.exepath(command)), 'codeface')
end

local function doctor(program)
  if vim.fn.executable(program) == 0 then
    program = 'codeface'
  end
  local answer = vim.system({ program, 'doctor', '--json' }, { text = true, timeout = 120000 }):wait()
  local decoded, report = pcall(vim.json.decode, answer.stdout or '')
  if not decoded then
    vim.health.warn('`codeface doctor` did not answer', answer.stderr)
    return
  end
  for _, check in ipairs(report.checks) do
    local line = ('%s: %s'):format(check.name, check.message)
    if check.status == 'ok' then
      vim.health.ok(line)
    elseif check.status == 'warning' then
      vim.health.warn(line, check.next_step)
    else
      vim.health.error(line, check.next_step)
    end
  end
end

--- Entry point of `:checkhealth`.
function M.check()
  vim.health.start('codeface: editor')
  neovim()
  local program = server()
  if program then
    vim.health.start('codeface: doctor')
    doctor(program)
  end
end

return M
