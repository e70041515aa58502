-- `:CodeFace` and the <Plug> mappings; everything else is loaded when it is first used.
if vim.g.loaded_codeface then
  return
end
vim.g.loaded_codeface = true

vim.api.nvim_create_user_command('CodeFace', function(command)
  require('codeface.commands').run(command)
end, {
  nargs = '*',
  range = true,
  desc = 'CodeFace: chat, explain, fix, tests and more',
  complete = function(_, line)
    return require('codeface.commands').complete(line)
  end,
})

local function map(name, call)
  vim.keymap.set('i', '<Plug>(codeface-' .. name .. ')', function()
    require('codeface.inline')[call]()
  end, { silent = true })
end

map('accept', 'accept')
map('accept-word', 'accept_word')
map('accept-line', 'accept_line')
map('next', 'next')
map('previous', 'previous')
map('dismiss', 'dismiss')
