-- The server's configuration for `vim.lsp.enable('codeface')` (Neovim 0.11 and later). This file alone is enough for
-- completion, code actions and, on 0.12, ghost text: `vim.lsp.inline_completion.enable()`.
return {
  cmd = { 'codeface-lsp' },
  root_markers = { '.git', 'pyproject.toml', 'package.json', 'Cargo.toml', 'go.mod' },
}
