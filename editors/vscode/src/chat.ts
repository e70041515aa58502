// The chat view: it shows conversations that live in the server.
import { randomBytes } from "node:crypto";
import * as vscode from "vscode";
import { codeEditor, useCode } from "./code";
import type { FromPage, ShownTurn, ToPage } from "./messages";
import type { ChatResult, Conversation, Delta, WholeConversation } from "./protocol";
import { reason, type Server } from "./server";

const MAX_REFERENCES = 50;
const MAX_PROBLEMS = 100;

export class ChatView implements vscode.WebviewViewProvider {
  private view: vscode.WebviewView | undefined;
  private ready = false;
  private queue: ToPage[] = [];
  private conversation: string | undefined;
  private turns: ShownTurn[] = [];
  private answering: vscode.CancellationTokenSource | undefined;
  private count = 0;

  constructor(
    private readonly extension: vscode.Uri,
    private readonly server: Server,
  ) {}

  resolveWebviewView(view: vscode.WebviewView): void {
    this.view = view;
    const roots = ["dist", "media"].map((folder) => vscode.Uri.joinPath(this.extension, folder));
    view.webview.options = { enableScripts: true, localResourceRoots: roots };
    view.webview.onDidReceiveMessage((message: FromPage) => void this.received(message));
    view.onDidDispose(() => {
      this.view = undefined;
      this.ready = false;
    });
    view.webview.html = this.html(view.webview);
  }

  /** Show the view, with a text in its input, or with a question that is asked at once. */
  async open(what: { draft?: string; question?: string } = {}): Promise<void> {
    await vscode.commands.executeCommand("codeface.chat.focus");
    if (what.draft !== undefined) this.post({ type: "draft", text: what.draft });
    if (what.question !== undefined) await this.ask(what.question);
  }

  /** Begin a new conversation. */
  clear(): void {
    this.answering?.cancel();
    this.conversation = undefined;
    this.turns = [];
    this.post({ type: "show", turns: [] });
  }

  /** Choose an earlier conversation to read or go on with, or delete one. */
  async history(): Promise<void> {
    const answer = await this.server.running.sendRequest<{ conversations: Conversation[] }>("codeface/chat.list", {});
    const remove: vscode.QuickInputButton = { iconPath: new vscode.ThemeIcon("trash"), tooltip: "Delete" };
    const pick = vscode.window.createQuickPick<vscode.QuickPickItem & { conversation: Conversation }>();
    pick.title = "Earlier conversations";
    pick.items = answer.conversations.map((conversation) => ({
      label: conversation.title || conversation.conversationId,
      buttons: [remove],
      conversation,
    }));
    pick.onDidTriggerItemButton(async ({ item }) => {
      const { conversationId } = item.conversation;
      await this.server.running.sendRequest("codeface/chat.delete", { conversationId });
      pick.items = pick.items.filter((other) => other !== item);
      if (conversationId === this.conversation) this.clear();
    });
    pick.onDidAccept(() => {
      const chosen = pick.selectedItems[0]?.conversation;
      pick.hide();
      if (chosen) void this.resume(chosen.conversationId);
    });
    pick.onDidHide(() => pick.dispose());
    pick.show();
  }

  /** Say beside the input which code a question would be about. */
  showContext(): void {
    const editor = codeEditor();
    if (editor === undefined) return this.post({ type: "context", label: "" });
    const name = vscode.workspace.asRelativePath(editor.document.uri);
    const { selection } = editor;
    const lines = selection.isEmpty ? "" : `:${selection.start.line + 1}–${selection.end.line + 1}`;
    this.post({ type: "context", label: name + lines });
  }

  private async resume(conversationId: string): Promise<void> {
    const found = await this.server.running.sendRequest<WholeConversation>("codeface/chat.get", { conversationId });
    this.clear();
    this.conversation = conversationId;
    this.turns = found.turns.flatMap((turn) =>
      turn.role === "system" ? [] : [{ role: turn.role, text: turn.content }],
    );
    this.post({ type: "show", turns: this.turns });
  }

  private async received(message: FromPage): Promise<void> {
    switch (message.type) {
      case "ready":
        this.ready = true;
        this.post({ type: "show", turns: this.turns });
        this.showContext();
        for (const waiting of this.queue.splice(0)) this.post(waiting);
        return;
      case "send":
        return this.ask(message.text);
      case "edit":
        this.turns = this.turns.slice(0, message.index);
        this.post({ type: "show", turns: this.turns });
        return this.ask(message.text, "codeface/chat.edit", { turn: message.index });
      case "regenerate":
        return this.again();
      case "stop":
        this.answering?.cancel();
        return;
      case "code":
        return useCode(message.use, message.text);
      case "link":
        // Only what the user clicked, and VS Code asks before it opens a page.
        if (/^https?:/.test(message.url)) await vscode.env.openExternal(vscode.Uri.parse(message.url));
        return;
      case "references":
        return this.references(message.prefix);
    }
  }

  private async again(): Promise<void> {
    const question = this.turns.findLast((turn) => turn.role === "user");
    if (question === undefined || this.conversation === undefined) return;
    this.turns = this.turns.slice(0, this.turns.lastIndexOf(question));
    this.post({ type: "show", turns: this.turns });
    await this.ask(question.text, "codeface/chat.regenerate");
  }

  private async ask(text: string, method = "codeface/chat", more: object = {}): Promise<void> {
    if (this.answering) return;
    const cancel = new vscode.CancellationTokenSource();
    this.answering = cancel;
    this.turns.push({ role: "user", text });
    this.post({ type: "question", text });
    const token = `codeface-chat-${process.pid}-${this.count++}`;
    let reply = "";
    try {
      const client = this.server.running;
      const { ProgressType } = await import("vscode-languageclient/node");
      const listening = client.onProgress(new ProgressType<Delta>(), token, ({ delta }) => {
        if (!delta) return;
        reply += delta;
        this.post({ type: "delta", text: delta });
      });
      try {
        const params = { message: text, conversationId: this.conversation, partialResultToken: token, ...this.about(), ...more };
        const result = await client.sendRequest<ChatResult>(method, params, cancel.token);
        this.conversation = result.conversationId;
        reply = result.reply;
        this.post({ type: "end", text: reply });
      } finally {
        listening.dispose();
      }
    } catch (error) {
      this.post({ type: "end", note: cancel.token.isCancellationRequested ? "Stopped." : reason(error) });
    } finally {
      this.answering = undefined;
      this.turns.push({ role: "assistant", text: reply });
      cancel.dispose();
    }
  }

  private about(): object {
    const editor = codeEditor();
    if (editor === undefined) return {};
    const { start, end } = editor.selection;
    const range = { start: { line: start.line, character: start.character }, end: { line: end.line, character: end.character } };
    return { textDocument: { uri: editor.document.uri.toString() }, range, diagnostics: problems(editor) };
  }

  /** Files whose path has the letters typed after `@`; open ones first. */
  private async references(prefix: string): Promise<void> {
    const wanted = prefix.toLowerCase();
    const files = await vscode.workspace.findFiles("**/*", undefined, 2000);
    const open = vscode.workspace.textDocuments.map((document) => document.uri).filter((uri) => uri.scheme === "file");
    const names = [...open, ...files].map((uri) => vscode.workspace.asRelativePath(uri));
    const found = [...new Set(names)].filter((name) => name.toLowerCase().includes(wanted)).slice(0, MAX_REFERENCES);
    this.post({ type: "references", prefix, names: found });
  }

  private post(message: ToPage): void {
    if (this.ready && this.view) void this.view.webview.postMessage(message);
    else if (message.type === "draft") this.queue.push(message);
  }

  private html(webview: vscode.Webview): string {
    const nonce = randomBytes(16).toString("base64");
    const at = (...parts: string[]) => webview.asWebviewUri(vscode.Uri.joinPath(this.extension, ...parts)).toString();
    return `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src ${webview.cspSource}; script-src 'nonce-${nonce}'">
<meta name="viewport" content="width=device-width">
<link rel="stylesheet" href="${at("media", "chat.css")}">
<title>CodeFace chat</title>
</head>
<body>
<main id="log" role="log" aria-label="Conversation" aria-live="off" tabindex="0"></main>
<div id="announcer" class="hidden" role="status" aria-live="polite"></div>
<form id="form">
  <div id="context" aria-live="off"></div>
  <ul id="choices" role="listbox" aria-label="Completions" hidden></ul>
  <label for="input" class="hidden">Question</label>
  <textarea id="input" rows="3" placeholder="Ask about your code: / for commands, @ for files" role="combobox"
    aria-autocomplete="list" aria-controls="choices" aria-expanded="false" aria-haspopup="listbox"></textarea>
  <div id="buttons">
    <button type="button" id="again" class="quiet">Answer again</button>
    <button type="submit" id="send">Send</button>
    <button type="button" id="stop" hidden>Stop</button>
  </div>
</form>
<script nonce="${nonce}" src="${at("dist", "chat.js")}"></script>
</body>
</html>`;
  }
}

/** What any extension reports about the selection, or about the whole file if nothing is selected. */
function problems({ document, selection }: vscode.TextEditor): object[] {
  return vscode.languages
    .getDiagnostics(document.uri)
    .filter(({ range }) => selection.isEmpty || range.intersection(selection) !== undefined)
    .slice(0, MAX_PROBLEMS)
    .map(({ range: { start, end }, message, source, code }) => ({
      range: { start: { line: start.line, character: start.character }, end: { line: end.line, character: end.character } },
      message,
      source,
      code: typeof code === "object" ? code.value : code,
    }));
}
