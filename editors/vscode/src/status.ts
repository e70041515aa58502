// The status bar item, and the menu behind it.
import * as vscode from "vscode";
import type { Status } from "./protocol";

const words: Record<string, [icon: string, text: string]> = {
  missing: ["$(warning)", "not installed"],
  starting: ["$(loading~spin)", "starting"],
  restarting: ["$(loading~spin)", "restarting"],
  loading: ["$(loading~spin)", "loading"],
  ready: ["$(sparkle)", ""],
  generating: ["$(loading~spin)", ""],
  paused: ["$(debug-pause)", "paused"],
  stopped: ["$(circle-slash)", "stopped"],
  error: ["$(error)", "error"],
};

export class StatusBar implements vscode.Disposable {
  private readonly item = vscode.window.createStatusBarItem("codeface", vscode.StatusBarAlignment.Right, 100);
  private last: Status = { kind: "Inactive", state: "starting", busy: true };

  constructor() {
    this.item.name = "CodeFace";
    this.item.command = "codeface.ui.menu";
    this.show(this.last);
    this.item.show();
  }

  get paused(): boolean {
    return this.last.state === "paused";
  }

  get missing(): boolean {
    return this.last.state === "missing";
  }

  show(status: Status): void {
    this.last = status;
    const [icon, word] = words[status.state] ?? ["$(sparkle)", status.state];
    const share = status.progress === undefined ? "" : ` ${Math.round(status.progress * 100)}%`;
    this.item.text = `${icon} CodeFace${word ? ` ${word}` : ""}${share}`;
    this.item.tooltip = status.message ?? "CodeFace is ready.";
    this.item.accessibilityInformation = { label: `CodeFace ${word || "ready"}${share}`, role: "button" };
    this.item.backgroundColor =
      status.kind === "Error"
        ? new vscode.ThemeColor("statusBarItem.errorBackground")
        : status.kind === "Warning"
          ? new vscode.ThemeColor("statusBarItem.warningBackground")
          : undefined;
  }

  dispose(): void {
    this.item.dispose();
  }
}

/** The menu that a click on the item opens. */
export async function menu(status: StatusBar): Promise<void> {
  const entries: [label: string, command: string][] = [
    ["$(comment-discussion) Open chat", "codeface.ui.chat"],
    [status.paused ? "$(play) Resume suggestions" : "$(debug-pause) Pause suggestions", "codeface.ui.togglePause"],
    ["$(symbol-misc) Choose model", "codeface.ui.pickModel"],
    ["$(eye) Show what the model saw", "codeface.ui.showContext"],
    ["$(graph) Show statistics", "codeface.ui.showStatistics"],
    ["$(output) Show log", "codeface.ui.showLog"],
    ["$(debug-restart) Restart server", "codeface.ui.restart"],
    ["$(checklist) Check the installation", "codeface.ui.doctor"],
  ];
  if (status.missing) entries.unshift(["$(cloud-download) Install the server", "codeface.ui.install"]);
  const choice = await vscode.window.showQuickPick(
    entries.map(([label, command]) => ({ label, command })),
    { title: "CodeFace" },
  );
  if (choice) await vscode.commands.executeCommand(choice.command);
}
