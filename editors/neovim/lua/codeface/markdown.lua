--- Markdown buffers that an answer streams into, and the code blocks in them.
local M = {}

--- Show a scratch Markdown buffer of that name in a split; returns it.
---@param name string
function M.open(name)
  local bufnr = vim.fn.bufnr('^' .. name .. '$')
  if bufnr < 0 then
    bufnr = vim.api.nvim_create_buf(false, true)
    vim.api.nvim_buf_set_name(bufnr, name)
    vim.bo[bufnr].buftype = 'nofile'
    vim.bo[bufnr].bufhidden = 'hide'
    vim.bo[bufnr].swapfile = false
    vim.bo[bufnr].filetype = 'markdown'
  end
  local window = vim.fn.bufwinid(bufnr)
  if window < 0 then
    vim.cmd('botright vsplit')
    window = vim.api.nvim_get_current_win()
    vim.api.nvim_win_set_buf(window, bufnr)
    vim.wo[window].wrap = true
    vim.wo[window].linebreak = true
    vim.wo[window].number = false
  end
  return bufnr, window
end

--- Append text at the end of a buffer; windows that showed its end keep showing it.
function M.append(bufnr, text)
  if not vim.api.nvim_buf_is_valid(bufnr) or text == '' then
    return
  end
  local last = vim.api.nvim_buf_line_count(bufnr)
  local column = #(vim.api.nvim_buf_get_lines(bufnr, last - 1, last, false)[1] or '')
  vim.api.nvim_buf_set_text(bufnr, last - 1, column, last - 1, column, vim.split(text, '\n', { plain = true }))
  for _, window in ipairs(vim.fn.win_findbuf(bufnr)) do
    if vim.api.nvim_win_get_cursor(window)[1] >= last then
      vim.api.nvim_win_set_cursor(window, { vim.api.nvim_buf_line_count(bufnr), 0 })
    end
  end
end

--- The lines of the fenced code block around the cursor, nil if there is none.
---@return string[]?
function M.block_at_cursor()
  local row = vim.api.nvim_win_get_cursor(0)[1]
  local lines = vim.api.nvim_buf_get_lines(0, 0, -1, false)
  local start
  for index, line in ipairs(lines) do
    if line:match('^%s*```') then
      if start then
        if row >= start and row <= index then
          return vim.list_slice(lines, start + 1, index - 1)
        end
        start = nil
      else
        start = index
      end
    end
  end
end

return M
