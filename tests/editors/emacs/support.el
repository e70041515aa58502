;;; support.el --- what the tests in Emacs share  -*- lexical-binding: t; -*-

(require 'ert)
(setq native-comp-jit-compilation nil
      native-comp-enable-subr-trampolines nil
      make-backup-files nil
      create-lockfiles nil)

(defun wait-for (what check &optional seconds)
  "Poll CHECK until it is non-nil, and return its value; fail with WHAT after SECONDS."
  (let ((deadline (+ (float-time) (or seconds 60))) (value nil))
    (while (and (not (setq value (funcall check))) (< (float-time) deadline))
      (accept-process-output nil 0.05))
    (or value (ert-fail (list "waited for" what (with-current-buffer "*Messages*" (buffer-string)))))))

(defun open-shapes (name)
  "Visit NAME of the project in Python mode."
  (let ((file (expand-file-name name (getenv "PROJECT_UNDER_TEST"))))
    (when-let* ((left (get-file-buffer file))) ; by the test before
      (with-current-buffer left (set-buffer-modified-p nil))
      (kill-buffer left))
    (find-file file))
  (python-mode)
  (set-window-buffer nil (current-buffer)))

(provide 'support)
