// Ghost text for what was typed before there was a server to ask: VS Code asks by itself only at the next key.
import * as vscode from "vscode";

let typed: vscode.TextDocument | undefined;

/** Remember where the user types. */
export function followTyping(): vscode.Disposable {
  return vscode.workspace.onDidChangeTextDocument(({ document, contentChanges }) => {
    if (contentChanges.length > 0) typed = document;
  });
}

/** Have VS Code ask `extension` for the cursor's place, as if a key had been typed, if the user is at work there. */
export function askForGhostText(extension: string): void {
  const editor = vscode.window.activeTextEditor;
  if (editor === undefined || !editor.selection.isEmpty) return;
  // What was typed before the extension was activated is known by the document being unsaved.
  if (editor.document !== typed && !editor.document.isDirty) return;
  // Without the provider's name nothing new would be asked: for VS Code, the place has been answered with nothing.
  const args = { explicit: false, providerId: `${extension}:*` };
  void vscode.commands.executeCommand("editor.action.inlineSuggest.trigger", args);
}
