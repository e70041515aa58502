// Read-only pages: what the model saw, explanations, and the statistics that the server writes as HTML.
import { readFile } from "node:fs/promises";
import * as vscode from "vscode";
import type { ShowDocumentRequest } from "vscode-languageclient/node";

const SCHEME = "codeface";

/** Markdown documents that grow while one looks at them. */
export class Pages implements vscode.TextDocumentContentProvider, vscode.Disposable {
  private readonly texts = new Map<string, string>();
  private readonly changed = new vscode.EventEmitter<vscode.Uri>();
  private readonly registration = vscode.workspace.registerTextDocumentContentProvider(SCHEME, this);
  readonly onDidChange = this.changed.event;

  provideTextDocumentContent(uri: vscode.Uri): string {
    return this.texts.get(uri.toString()) ?? "";
  }

  /** Show a page; calling it again with the same title changes its text. */
  set(title: string, text: string): vscode.Uri {
    const uri = vscode.Uri.from({ scheme: SCHEME, path: `/${title}.md` });
    this.texts.set(uri.toString(), text);
    this.changed.fire(uri);
    return uri;
  }

  /** Open a page beside the code, as source (`preview` false) or rendered. */
  async open(uri: vscode.Uri, preview: boolean): Promise<void> {
    if (preview) {
      await vscode.commands.executeCommand("markdown.showPreviewToSide", uri);
      return;
    }
    const document = await vscode.workspace.openTextDocument(uri);
    await vscode.window.showTextDocument(document, { viewColumn: vscode.ViewColumn.Beside, preview: true });
  }

  dispose(): void {
    this.registration.dispose();
    this.changed.dispose();
  }
}

/** `window/showDocument`: HTML files of the server open in a panel without scripts; the rest is the client's job. */
export const showDocument: ShowDocumentRequest.MiddlewareSignature = async (params, token, next) => {
  const uri = vscode.Uri.parse(params.uri);
  if (uri.scheme !== "file" || !uri.path.endsWith(".html")) return next(params, token);
  const html = await readFile(uri.fsPath, "utf8");
  const panel = vscode.window.createWebviewPanel("codeface.page", "CodeFace", vscode.ViewColumn.Active, {});
  const policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:";
  // A page may leave its <head> out; the policy goes before whatever the page says itself.
  panel.webview.html = html.replace(/<head>|(?=<meta)/i, `$&<meta http-equiv="Content-Security-Policy" content="${policy}">`);
  return { success: true };
};
