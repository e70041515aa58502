;;; support.el --- what the tests in Emacs share  -*- lexical-binding: t; -*-

(require 'ert)
(setq native-comp-jit-compilation nil
      native-comp-enable-subr-trampolines nil
      make-backup-files nil
      create-lockfiles nil)

(defun wait-for (what check &optional again)
  "Poll CHECK until it is non-nil, and return its value; fail with WHAT after a while.
AGAIN, a function, asks once more now and then for what comes only when one asks."
  (let* ((began (float-time)) (asked began) (value nil))
    (while (and (not (setq value (funcall check))) (< (- (float-time) began) 90))
      (accept-process-output nil 0.05)
      (when (and again (> (- (float-time) asked) 5))
        (funcall again)
        (setq asked (float-time))))
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
