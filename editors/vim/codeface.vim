" CodeFace for Vim with ALE: suggestions in the completion menu (CTRL-X CTRL-O with ALE's omnifunc).
if exists('g:loaded_codeface_ale')
  finish
endif
let g:loaded_codeface_ale = 1

let g:codeface_languages = get(g:, 'codeface_languages', ['c', 'cpp', 'cs', 'css', 'go', 'html', 'java', 'javascript',
\   'kotlin', 'lua', 'php', 'python', 'ruby', 'rust', 'scala', 'sh', 'sql', 'swift', 'typescript'])

function! s:Root(buffer) abort
  let l:git = finddir('.git', fnamemodify(bufname(a:buffer), ':p:h') . ';')
  return empty(l:git) ? fnamemodify(bufname(a:buffer), ':p:h') : fnamemodify(l:git, ':p:h:h')
endfunction

function! s:Define() abort
  for l:language in g:codeface_languages
    call ale#linter#Define(l:language, {
    \   'name': 'codeface',
    \   'lsp': 'stdio',
    \   'executable': get(g:, 'codeface_executable', 'codeface-lsp'),
    \   'command': '%e',
    \   'project_root': function('s:Root'),
    \})
  endfor
endfunction

call s:Define()

" Vim's own file types set 'omnifunc' for themselves; this comes after them.
augroup codeface_ale
  autocmd!
  execute 'autocmd FileType' join(g:codeface_languages, ',') 'setlocal omnifunc=ale#completion#OmniFunc'
augroup END
