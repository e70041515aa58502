;;; lsp-mode-test.el --- CodeFace in Emacs with lsp-mode  -*- lexical-binding: t; -*-

(require 'support)
(setq lsp-keep-workspace-alive t
      lsp-enabled-clients '(codeface)
      lsp-lens-enable nil
      lsp-enable-snippet nil
      lsp-modeline-code-actions-enable nil
      lsp-modeline-diagnostics-enable nil
      lsp-session-file (expand-file-name "lsp-session" (getenv "HOME"))
      lsp-auto-guess-root t
      lsp-enable-suggest-server-download nil
      lsp-warn-no-matched-clients nil
      lsp-headerline-breadcrumb-enable nil
      lsp-enable-file-watchers nil)
(require 'lsp-mode)
(require 'lsp-modeline)
(require 'codeface)
(require 'codeface-lsp-mode)
(setq codeface-client 'lsp-mode)

(defun start (name)
  (open-shapes name)
  (let ((project (file-name-as-directory (getenv "PROJECT_UNDER_TEST"))))
    (lsp-workspace-folders-add (directory-file-name project)))
  (setq-local codeface-mode t)
  (codeface-lsp-mode-register)
  (lsp)
  (wait-for "lsp-mode" (lambda () (and (lsp-workspaces)
                                       (seq-every-p (lambda (workspace) (eq 'initialized (lsp--workspace-status workspace)))
                                                    (lsp-workspaces))))))

(ert-deftest ghost-text-is-shown-and-accepted ()
  (start "shapes.py")
  (goto-char (point-max))
  (insert "\nvalue = ")
  (lsp-inline-completion-display)
  (wait-for "ghost text" #'lsp-inline-completion--active-p #'lsp-inline-completion-display)
  (lsp-inline-completion-accept)
  (should (looking-back "value = mock().*" (line-beginning-position))))

(ert-deftest an-action-is-applied ()
  (start "wrong.py")
  (goto-char (point-min))
  (forward-line 1)
  (let* ((actions (wait-for "actions" (lambda () (append (lsp-code-actions-at-point) nil))))
         (simplify (seq-find (lambda (action) (string-match-p "simplify" (lsp-get action :title))) actions)))
    (should simplify)
    (lsp-execute-code-action simplify)
    (wait-for "the edit" (lambda () (string-search "return x + x" (buffer-string))))))

(ert-deftest chat-streams-into-its-buffer-and-is-about-the-selection ()
  (start "shapes.py")
  (transient-mark-mode 1)
  (goto-char (point-min))
  (search-forward "def total_area")
  (push-mark (point-max) t t)
  (codeface-chat "/explain What is the answer?")
  (with-current-buffer "*CodeFace chat*"
    (wait-for "an answer" (lambda () (not codeface--answering)))
    (should (string-search "ANSWER = 42" (buffer-string)))))
