// Code blocks of an answer go where the user was: at the cursor, over the selection, or to the clipboard.
import * as vscode from "vscode";
import type { CodeUse } from "./messages";

let last: vscode.TextEditor | undefined;

/** Remember the last editor of a file: the chat page takes the focus away from it. */
export function followEditors(): vscode.Disposable {
  const keep = (editor: vscode.TextEditor | undefined) => {
    if (editor && ["file", "untitled", "vscode-notebook-cell"].includes(editor.document.uri.scheme)) last = editor;
  };
  keep(vscode.window.activeTextEditor);
  return vscode.window.onDidChangeActiveTextEditor(keep);
}

/** The editor that questions are about. */
export function codeEditor(): vscode.TextEditor | undefined {
  return last && !last.document.isClosed ? last : undefined;
}

/** Insert at the cursor, apply over the selection (the whole lines of it), or copy. */
export async function useCode(use: CodeUse, text: string): Promise<void> {
  if (use === "copy") {
    await vscode.env.clipboard.writeText(text);
    return;
  }
  const before = codeEditor();
  if (before === undefined) {
    void vscode.window.showWarningMessage("Open the file that the code belongs into, then try again.");
    return;
  }
  const editor = await vscode.window.showTextDocument(before.document, before.viewColumn);
  const { selection, document } = editor;
  const whole = new vscode.Range(selection.start.line, 0, selection.end.line, document.lineAt(selection.end.line).text.length);
  const target = use === "apply" && !selection.isEmpty ? whole : new vscode.Range(selection.active, selection.active);
  await editor.edit((edit) => edit.replace(target, text));
}
