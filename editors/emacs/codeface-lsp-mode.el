;;; codeface-lsp-mode.el --- CodeFace as a client of lsp-mode  -*- lexical-binding: t; -*-

;; SPDX-License-Identifier: Apache-2.0

;;; Commentary:

;; Registers the server beside the other servers of a buffer (`:add-on?').  lsp-mode draws the ghost text itself.

;;; Code:

(require 'codeface)
(require 'lsp-mode)
(require 'lsp-inline-completion)

(defun codeface-lsp-mode--progress (workspace params)
  "Take partial results of CodeFace from PARAMS.
The rest of WORKSPACE's progress is lsp-mode's."
  (unless (codeface--progress (lsp-get params :token) (lsp-get params :value))
    (funcall lsp-progress-function workspace params)))

(defun codeface-lsp-mode--status (_workspace status)
  "Keep STATUS for the mode line."
  (codeface--set-status status))

(defun codeface-lsp-mode-register ()
  "Tell lsp-mode how to start the server, once."
  (unless (gethash 'codeface lsp-clients)
    (lsp-register-client
     (make-lsp-client
      :new-connection (lsp-stdio-connection (lambda () codeface-command))
      :activation-fn (lambda (&rest _) (bound-and-true-p codeface-mode))
      :add-on? t
      :priority -1
      :server-id 'codeface
      :initialization-options (lambda () (or codeface-settings (make-hash-table)))
      :notification-handlers (lsp-ht ("codeface/didChangeStatus" #'codeface-lsp-mode--status)
                                     ("$/progress" #'codeface-lsp-mode--progress))))))

(defun codeface-lsp-mode-request (method params done failed)
  "Send METHOD with PARAMS; call DONE with the result or FAILED with a message."
  (let ((workspace (lsp-find-workspace 'codeface (buffer-file-name))))
    (unless workspace (user-error "CodeFace does not run in this buffer"))
    (with-lsp-workspace workspace
      (lsp-request-async method params done
                         :mode 'detached
                         :error-handler (lambda (err) (funcall failed (lsp-get err :message)))))))

(defun codeface-lsp-mode-about (from to)
  "The document and the part between FROM and TO, as parameters."
  (list :textDocument (lsp--text-document-identifier)
        :range (lsp--region-to-range from to)))

(provide 'codeface-lsp-mode)
;;; codeface-lsp-mode.el ends here
