;;; codeface.el --- Ghost text, code actions and chat from local models  -*- lexical-binding: t; -*-

;; Author: CodeFace
;; Version: 0.1.0
;; Package-Requires: ((emacs "29.1"))
;; Keywords: languages, tools
;; URL: https://github.com/codeface-lsp/codeface
;; SPDX-License-Identifier: Apache-2.0

;;; Commentary:

;; Works with eglot (built in) and with lsp-mode:
;;
;;   (require 'codeface)
;;   (add-hook 'python-mode-hook #'codeface-mode)
;;
;; `codeface-mode' starts the server through the client in `codeface-client', shows ghost text while one types, and
;; puts the server's state into the mode line.  `codeface-chat' opens a conversation.

;;; Code:

(require 'cl-lib)
(require 'subr-x)

(defvar codeface-mode)
(defvar eglot-server-programs)
(defvar eglot--managed-mode)
(declare-function eglot-ensure "eglot")
(declare-function eglot-current-server "eglot")
(declare-function eglot-server-capable "eglot")
(declare-function eglot-code-actions "eglot")
(declare-function eglot--TextDocumentPositionParams "eglot")
(declare-function eglot--TextDocumentIdentifier "eglot")
(declare-function eglot--range-region "eglot")
(declare-function eglot--lsp-position-to-point "eglot")
(declare-function eglot--pos-to-lsp-position "eglot")
(declare-function eglot--signal-textDocument/didChange "eglot")
(declare-function jsonrpc-async-request "jsonrpc")
(declare-function jsonrpc-notify "jsonrpc")
(declare-function codeface-lsp-mode-register "codeface-lsp-mode")
(declare-function codeface-lsp-mode-request "codeface-lsp-mode")
(declare-function codeface-lsp-mode-about "codeface-lsp-mode")
(declare-function lsp-deferred "lsp-mode")
(declare-function lsp-inline-completion-mode "lsp-inline-completion")

(defgroup codeface nil
  "Ghost text, code actions and chat from models on this machine."
  :group 'tools
  :prefix "codeface-")

(defcustom codeface-command '("codeface-lsp")
  "Command that starts the server."
  :type '(repeat string))

(defcustom codeface-settings nil
  "Settings of the server, as a plist: (:completion (:multiline \"never\"))."
  :type 'plist)

(defcustom codeface-client 'eglot
  "Language client that `codeface-mode' starts."
  :type '(choice (const eglot) (const lsp-mode)))

(defcustom codeface-inline t
  "Whether to show ghost text while one types."
  :type 'boolean)

(defcustom codeface-idle-delay 0.15
  "Seconds without a key after which ghost text is asked for."
  :type 'number)

(defface codeface-ghost '((t :inherit shadow :slant italic))
  "Face of ghost text.")

;;;; Talking to the server

(defvar codeface--listeners (make-hash-table :test #'equal)
  "Partial-result tokens and the functions that take their pieces.")
(defvar codeface--count 0)
(defvar codeface--status nil "The last state that the server sent.")

(defun codeface--get (object key)
  "Value of KEY, a keyword, in OBJECT: eglot's plist, lsp-mode's hash table."
  (if (hash-table-p object)
      (gethash (substring (symbol-name key) 1) object)
    (plist-get object key)))

(defun codeface--progress (token value)
  "Give VALUE to whom TOKEN belongs; return non-nil if it was one of ours."
  (when-let* ((listener (gethash token codeface--listeners)))
    (when-let* ((delta (codeface--get value :delta)))
      (funcall listener delta))
    t))

(defun codeface--set-status (status)
  "Keep STATUS for the mode line."
  (setq codeface--status status)
  (force-mode-line-update t))

(defun codeface-mode-line ()
  "What the server is doing, in a few characters."
  (let ((state (and codeface--status (codeface--get codeface--status :state))))
    (pcase state
      ((or 'nil "ready") " CodeFace")
      (_ (format " CodeFace:%s" state)))))

(defun codeface--request (method params done failed)
  "Send METHOD with PARAMS; call DONE with the result or FAILED with a message."
  (if (eq codeface-client 'lsp-mode)
      (codeface-lsp-mode-request method params done failed)
    (let ((server (eglot-current-server)))
      (unless server (user-error "CodeFace does not run in this buffer"))
      (eglot--signal-textDocument/didChange)
      (jsonrpc-async-request server (intern (concat ":" method)) params
                             :success-fn done
                             :error-fn (lambda (err) (funcall failed (plist-get err :message)))
                             :timeout-fn (lambda () (funcall failed "The server did not answer."))
                             :timeout 600))))

(defun codeface--stream (method params piece done failed)
  "Send METHOD with PARAMS; call PIECE with each piece, then DONE or FAILED."
  (let ((token (format "codeface-emacs-%d-%d" (emacs-pid) (cl-incf codeface--count))))
    (puthash token piece codeface--listeners)
    (codeface--request method (append params (list :partialResultToken token))
                       (lambda (result) (remhash token codeface--listeners) (funcall done result))
                       (lambda (why) (remhash token codeface--listeners) (funcall failed why)))))

;;;; eglot

(with-eval-after-load 'eglot
  (cl-defmethod eglot-handle-notification :around
    (_server (_method (eql $/progress)) &key token value &allow-other-keys)
    "Take partial results of CodeFace; leave the rest to eglot."
    (unless (codeface--progress token value) (cl-call-next-method)))
  (cl-defmethod eglot-handle-notification (_server (_method (eql codeface/didChangeStatus)) &rest status)
    "Keep the server's state for the mode line."
    (codeface--set-status status)))

(defun codeface--eglot ()
  "Start the server for this buffer through eglot."
  (require 'eglot)
  (add-to-list 'eglot-server-programs
               (cons major-mode
                     (append codeface-command
                             (and codeface-settings (list :initializationOptions codeface-settings)))))
  (eglot-ensure))

;;;; Ghost text, drawn here because eglot has none

(defvar-local codeface--overlay nil)
(defvar-local codeface--item nil "The suggestion on the screen: (TEXT START END COMMAND).")
(defvar-local codeface--timer nil)
(defvar-local codeface--tick 0 "Number of the newest request of this buffer.")

(defvar codeface-ghost-map
  (let ((map (make-sparse-keymap)))
    (define-key map (kbd "TAB") #'codeface-accept)
    (define-key map (kbd "<tab>") #'codeface-accept)
    (define-key map (kbd "M-f") #'codeface-accept-word)
    (define-key map (kbd "C-e") #'codeface-accept-line)
    (define-key map (kbd "C-g") #'codeface-dismiss)
    map)
  "Keys while ghost text is on the screen.")

(defun codeface-ghost-text ()
  "The ghost text on the screen, nil if there is none."
  (and codeface--overlay (overlay-get codeface--overlay 'codeface-text)))

(defun codeface-dismiss ()
  "Take the ghost text away."
  (interactive)
  (when codeface--overlay (delete-overlay codeface--overlay))
  (setq codeface--overlay nil codeface--item nil))

(defun codeface--rest ()
  "What of the suggestion is not typed yet, nil if what is typed contradicts it."
  (pcase-let ((`(,text ,start . ,_) codeface--item))
    (when (and text (<= start (point)))
      (let ((typed (buffer-substring-no-properties start (point))))
        (and (string-prefix-p typed text) (substring text (length typed)))))))

(defun codeface--draw ()
  "Draw the rest of the suggestion at point."
  (let ((rest (codeface--rest)) (item codeface--item))
    (codeface-dismiss)
    (when (and rest (not (string-empty-p rest)))
      (setq codeface--item item
            codeface--overlay (make-overlay (point) (point) nil t nil))
      (let ((shown (propertize rest 'face 'codeface-ghost)))
        (put-text-property 0 1 'cursor t shown)
        (overlay-put codeface--overlay 'after-string shown)
        (overlay-put codeface--overlay 'codeface-text rest)))))

(defun codeface--received (buffer tick position result)
  "Show the first item of RESULT.
Nothing if BUFFER has left POSITION or TICK is not its newest request."
  (when (buffer-live-p buffer)
    (with-current-buffer buffer
      (when (and result (= tick codeface--tick) (= position (point)))
        (let* ((items (or (codeface--get result :items) (and (vectorp result) result)))
               (item (and (> (length items) 0) (elt items 0))))
          (if (null item)
              (codeface-dismiss)
            (let ((region (and (plist-get item :range) (eglot--range-region (plist-get item :range)))))
              (setq codeface--item (list (plist-get item :insertText)
                                         (or (car region) position)
                                         (max position (or (cdr region) position))
                                         (plist-get item :command)))
              (codeface--draw))))))))

(defun codeface-suggest (&optional automatic)
  "Ask for a suggestion at point; AUTOMATIC when no one asked for it."
  (interactive)
  (let ((buffer (current-buffer)) (position (point)) (tick (cl-incf codeface--tick)))
    (codeface--request "textDocument/inlineCompletion"
                       (append (eglot--TextDocumentPositionParams)
                               (list :context (list :triggerKind (if automatic 2 1))))
                       (lambda (result) (codeface--received buffer tick position result))
                       (lambda (why) (unless automatic (message "CodeFace: %s" why))))))

(defun codeface--after-command ()
  "Keep ghost text that agrees with what was typed; ask again after a pause."
  (when codeface--timer (cancel-timer codeface--timer))
  (when codeface--item (codeface--draw))
  (when (memq this-command '(self-insert-command newline delete-backward-char backward-delete-char-untabify
                             python-indent-dedent-line-backspace newline-and-indent electric-newline-and-maybe-indent))
    (let ((buffer (current-buffer)))
      (setq codeface--timer
            (run-with-idle-timer codeface-idle-delay nil
                                 (lambda ()
                                   (when (buffer-live-p buffer)
                                     (with-current-buffer buffer
                                       (when (and codeface-mode (eglot-current-server))
                                         (codeface-suggest t))))))))))

(defun codeface--accept (measure)
  "Insert as much of the suggestion as MEASURE, a function of its rest, says."
  (let ((rest (codeface--rest)))
    (unless rest (user-error "No suggestion"))
    (pcase-let* ((`(,text ,_ ,end ,command) codeface--item)
                 (length (funcall measure rest))
                 (whole (= length (length rest))))
      (codeface-dismiss)
      (when (and whole (> end (point))) (delete-region (point) end))
      (insert (substring rest 0 length))
      (cond
       ((and whole command)
        (codeface--execute (plist-get command :command) (plist-get command :arguments)))
       ((not whole)
        (let ((accepted (- (length text) (length rest) (- length))))
          (jsonrpc-notify (eglot-current-server) :textDocument/didPartiallyAcceptCompletion
                          (list :item (list :insertText text :command command)
                                :acceptedLength (codeface--utf-16 (substring text 0 accepted)))))
        (codeface--show-rest (substring rest length) command))))))

(defun codeface--utf-16 (text)
  "Length of TEXT in UTF-16 code units."
  (/ (length (encode-coding-string text 'utf-16-le)) 2))

(defun codeface--show-rest (text command)
  "Go on showing TEXT at point."
  (setq codeface--item (list text (point) (point) command))
  (codeface--draw))

(defun codeface-accept ()
  "Accept the suggestion."
  (interactive)
  (codeface--accept #'length))

(defun codeface-accept-word ()
  "Accept its next word."
  (interactive)
  (codeface--accept (lambda (rest)
                      (string-match "\\`\\(?:[[:space:]\n]*[[:alnum:]_]+\\|[[:space:]\n]*[^[:alnum:]_[:space:]]+\\|.\\)" rest)
                      (match-end 0))))

(defun codeface-accept-line ()
  "Accept its next line."
  (interactive)
  (codeface--accept (lambda (rest) (string-match "\\`\n*[^\n]*" rest) (match-end 0))))

;;;; Commands

(defun codeface--execute (command &optional arguments)
  "Let the server execute COMMAND with ARGUMENTS."
  (codeface--request "workspace/executeCommand"
                     (list :command command :arguments (or arguments []))
                     #'ignore
                     (lambda (why) (message "CodeFace: %s" why))))

(defun codeface-pause ()
  "Show no suggestions for a while."
  (interactive)
  (codeface-dismiss)
  (codeface--execute "codeface.pause"))

(defun codeface-resume ()
  "Show suggestions again."
  (interactive)
  (codeface--execute "codeface.resume"))

(defun codeface-restart-engine ()
  "Restart the process that holds the models."
  (interactive)
  (codeface--execute "codeface.restartEngine"))

;;;; Chat

(defvar-local codeface--conversation nil)
(defvar-local codeface--code-buffer nil)
(defvar-local codeface--answering nil)

(defvar codeface-chat-mode-map
  (let ((map (make-sparse-keymap)))
    (define-key map (kbd "C-c C-c") #'codeface-chat-send)
    (define-key map (kbd "C-c C-i") #'codeface-chat-insert-block)
    (define-key map (kbd "C-c C-w") #'codeface-chat-copy-block)
    map))

(define-derived-mode codeface-chat-mode text-mode "CodeFace-Chat"
  "A conversation.
What stands under the last `## You' is sent with \\[codeface-chat-send]."
  (setq-local paragraph-start "## ")
  (add-hook 'completion-at-point-functions #'codeface--complete nil t)
  (visual-line-mode 1))

(defun codeface--complete ()
  "Slash commands, and files after an @."
  (when (looking-back "\\([/@]\\)[^[:space:]]*" (line-beginning-position))
    (list (match-beginning 0) (point)
          (if (equal (match-string 1) "/")
              '("/explain" "/fix" "/tests" "/doc" "/refactor" "/search" "/lesson")
            (delq nil (mapcar (lambda (buffer)
                                (and (buffer-file-name buffer)
                                     (concat "@" (file-relative-name (buffer-file-name buffer)
                                                                     (buffer-local-value 'default-directory codeface--code-buffer)))))
                              (buffer-list)))))))

;;;###autoload
(defun codeface-chat (&optional message)
  "Open the chat beside the code; send MESSAGE at once if there is one."
  (interactive)
  (let ((code (current-buffer)) (chat (get-buffer-create "*CodeFace chat*")))
    (with-current-buffer chat
      (unless (derived-mode-p 'codeface-chat-mode)
        (codeface-chat-mode)
        (insert "## You\n\n"))
      (unless (eq code chat) (setq codeface--code-buffer code))
      (goto-char (point-max))
      (when message
        (insert message)
        (codeface-chat-send)))
    (pop-to-buffer chat)))

(defun codeface--question ()
  "What stands under the last heading."
  (save-excursion
    (goto-char (point-max))
    (re-search-backward "^## You$")
    (forward-line 1)
    (string-trim (buffer-substring-no-properties (point) (point-max)))))

(defun codeface--append (chat text)
  "Put TEXT at the end of CHAT."
  (when (buffer-live-p chat)
    (with-current-buffer chat
      (let ((at-end (eobp)))
        (save-excursion (goto-char (point-max)) (insert text))
        (when at-end (goto-char (point-max)))))))

(defun codeface-chat-send ()
  "Send the question that stands at the end."
  (interactive)
  (let ((chat (current-buffer)) (question (codeface--question)) (wrote nil))
    (when codeface--answering (user-error "An answer is being written"))
    (when (string-empty-p question) (user-error "Ask something first"))
    (setq codeface--answering t)
    (codeface--append chat "\n\n## CodeFace\n\n")
    (let ((params (list :message question)))
      (when codeface--conversation (setq params (append params (list :conversationId codeface--conversation))))
      (with-current-buffer (codeface--server-buffer)
        (codeface--stream
         "codeface/chat" (append params (codeface--about))
         (lambda (delta) (setq wrote t) (codeface--append chat delta))
         (lambda (result)
           (unless wrote (codeface--append chat (codeface--get result :reply)))
           (codeface--answered chat (codeface--get result :conversationId) ""))
         (lambda (why) (codeface--answered chat nil (format "\n\n_%s_" why))))))))

(defun codeface--answered (chat conversation note)
  "End an answer in CHAT: keep its CONVERSATION, write NOTE, ask for more."
  (when (buffer-live-p chat)
    (with-current-buffer chat
      (setq codeface--answering nil)
      (when conversation (setq codeface--conversation conversation)))
    (codeface--append chat (concat note "\n\n## You\n\n"))))

(defun codeface--server-buffer ()
  "The buffer whose server answers."
  (if (buffer-live-p codeface--code-buffer) codeface--code-buffer (user-error "Open the chat from a file")))

(defun codeface--about ()
  "The document and the selection, as parameters."
  (let ((from (if (use-region-p) (region-beginning) (point)))
        (to (if (use-region-p) (region-end) (point))))
    (if (eq codeface-client 'lsp-mode)
        (codeface-lsp-mode-about from to)
      (list :textDocument (eglot--TextDocumentIdentifier)
            :range (list :start (eglot--pos-to-lsp-position from)
                         :end (eglot--pos-to-lsp-position to))))))

(defun codeface--block ()
  "The fenced code block around point, nil if there is none."
  (save-excursion
    (let ((here (point)) (found nil))
      (goto-char (point-min))
      (while (and (not found) (re-search-forward "^```.*\n" nil t))
        (let ((open (match-beginning 0)) (start (point)))
          (when (and (re-search-forward "^```" nil 'move) (<= open here (point)))
            (setq found (buffer-substring-no-properties start (match-beginning 0))))))
      found)))

(defun codeface-chat-insert-block ()
  "Insert the code block at point into the file that the chat is about."
  (interactive)
  (let ((block (or (codeface--block) (user-error "No code block here"))))
    (with-current-buffer (codeface--server-buffer) (insert block))))

(defun codeface-chat-copy-block ()
  "Put the code block at point into the kill ring."
  (interactive)
  (kill-new (or (codeface--block) (user-error "No code block here"))))

;;;; The mode

;;;###autoload
(define-minor-mode codeface-mode
  "Ghost text, actions and chat from models on this machine."
  :lighter (:eval (codeface-mode-line))
  (cond
   ((not codeface-mode)
    (remove-hook 'post-command-hook #'codeface--after-command t)
    (codeface-dismiss))
   ((eq codeface-client 'lsp-mode)
    (require 'codeface-lsp-mode)
    (codeface-lsp-mode-register)
    (lsp-deferred)
    (when codeface-inline (lsp-inline-completion-mode 1)))
   (t
    (codeface--eglot)
    (when codeface-inline (add-hook 'post-command-hook #'codeface--after-command nil t)))))

(add-to-list 'minor-mode-map-alist (cons 'codeface--overlay codeface-ghost-map))

(provide 'codeface)
;;; codeface.el ends here
