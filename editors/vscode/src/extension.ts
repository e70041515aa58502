// Activation: register everything, then start the server without waiting for it.
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import * as vscode from "vscode";
import { ChatView } from "./chat";
import { codeEditor, followEditors } from "./code";
import { companion, findServer, install } from "./environment";
import { askForGhostText, followTyping } from "./ghost";
import { Pages } from "./pages";
import type { ModelCard } from "./protocol";
import { reason, Server } from "./server";
import { needsRestart } from "./settings";
import { menu, StatusBar } from "./status";

const run = promisify(execFile);

export function activate(context: vscode.ExtensionContext): void {
  const log = vscode.window.createOutputChannel("CodeFace", { log: true });
  const storage = context.globalStorageUri;
  const version = String(context.extension.packageJSON.version);
  const server = new Server(() => findServer(storage), version, log);
  const status = new StatusBar();
  const pages = new Pages();
  const chat = new ChatView(context.extensionUri, server);

  context.subscriptions.push(
    log,
    server,
    status,
    pages,
    followEditors(),
    followTyping(),
    server.onStatus((news) => status.show(news)),
    server.onRunning(() => askForGhostText(context.extension.id)),
    vscode.window.registerWebviewViewProvider("codeface.chat", chat, { webviewOptions: { retainContextWhenHidden: true } }),
    vscode.window.onDidChangeTextEditorSelection(() => chat.showContext()),
    vscode.window.onDidChangeActiveTextEditor(() => chat.showContext()),
    vscode.workspace.onDidChangeConfiguration((event) => {
      if (needsRestart(event)) void server.restart();
    }),
  );
  const command = (name: string, work: () => unknown) =>
    context.subscriptions.push(vscode.commands.registerCommand(`codeface.ui.${name}`, () => guarded(work)));

  command("chat", () => chat.open());
  command("ask", () => chat.open({ draft: "" }));
  command("explain", () => chat.open({ question: "/explain" }));
  for (const name of ["fix", "docstring", "tests", "refactor"]) command(name, () => runAction(`codeface.${name}`));
  command("newChat", () => chat.clear());
  command("history", () => chat.history());
  command("menu", () => menu(status));
  command("pickModel", () => pickModel(server));
  command("togglePause", () => execute(server, status.paused ? "codeface.resume" : "codeface.pause"));
  command("showContext", () => showContext(server, pages));
  command("showStatistics", () => execute(server, "codeface.showStats"));
  command("restart", () => server.restart());
  command("restartEngine", () => execute(server, "codeface.restartEngine"));
  command("showLog", () => log.show());
  command("install", async () => {
    await install(storage, log);
    await server.restart();
  });
  command("doctor", () => doctor(storage, pages));

  void server.start().then(() => {
    if (status.missing) void offer();
  });
}

/** Errors of a command become one message. */
async function guarded(work: () => unknown): Promise<void> {
  try {
    await work();
  } catch (error) {
    void vscode.window.showErrorMessage(`CodeFace: ${reason(error)}`);
  }
}

async function offer(): Promise<void> {
  const choice = await vscode.window.showInformationMessage(
    "The CodeFace server is not installed on this machine. Shall CodeFace make a Python environment for it?",
    "Install",
    "I Have It Elsewhere",
  );
  if (choice === "Install") await vscode.commands.executeCommand("codeface.ui.install");
  if (choice === "I Have It Elsewhere") {
    await vscode.commands.executeCommand("workbench.action.openSettings", "codeface.server");
  }
}

async function execute(server: Server, command: string, ...args: unknown[]): Promise<unknown> {
  return server.running.sendRequest("workspace/executeCommand", { command, arguments: args });
}

/** Run the code action of the server that carries `command`, for the selection. */
async function runAction(command: string): Promise<void> {
  const editor = codeEditor();
  if (editor === undefined) throw new Error("Open a file first.");
  const actions = await vscode.commands.executeCommand<(vscode.CodeAction | vscode.Command)[]>(
    "vscode.executeCodeActionProvider",
    editor.document.uri,
    editor.selection,
  );
  const found = actions
    .map((action) => (typeof action.command === "string" ? (action as vscode.Command) : action.command))
    .find((candidate) => candidate?.command === command);
  if (found === undefined) throw new Error("There is nothing for it to do here; put the cursor on the code and try again.");
  await vscode.commands.executeCommand(found.command, ...(found.arguments ?? []));
}

async function pickModel(server: Server): Promise<void> {
  const answer = await server.running.sendRequest<{ models: (ModelCard & { id?: string })[] }>("codeface/models", {});
  const items = answer.models.map((model) => ({
    label: model.id ?? model.name,
    description: [model["state"], model["description"]].filter(Boolean).join(" · "),
  }));
  const other = { label: "$(cloud-download) Another model…", description: "a Hugging Face id or a folder" };
  const choice = await vscode.window.showQuickPick([...items, other], { title: "CodeFace: model" });
  if (choice === undefined) return;
  const name =
    choice === other
      ? await vscode.window.showInputBox({ title: "Model", prompt: "A Hugging Face id or the path of a folder" })
      : choice.label;
  if (!name) return;
  // The status bar and a progress of the server's tell how far it is; a folder is there already.
  if (choice === other) await execute(server, "codeface.model.download", name);
  await vscode.workspace.getConfiguration("codeface").update("model.completion", name, vscode.ConfigurationTarget.Global);
}

async function showContext(server: Server, pages: Pages): Promise<void> {
  const editor = codeEditor();
  if (editor === undefined) throw new Error("Open a file first.");
  const { line, character } = editor.selection.active;
  const context = await server.running.sendRequest<Record<string, unknown>>("codeface/context", {
    textDocument: { uri: editor.document.uri.toString() },
    position: { line, character },
  });
  await pages.open(pages.set("What the model saw", describe(context)), false);
}

/** The parts of a prompt as Markdown: texts as code blocks, the rest as a list. */
function describe(context: Record<string, unknown>): string {
  const blocks: string[] = ["# What the model saw at the cursor"];
  for (const [name, value] of Object.entries(context)) {
    const text = typeof value === "string" ? value : JSON.stringify(value, undefined, 2);
    blocks.push(`## ${name}`, `\`\`\`\`\n${text}\n\`\`\`\``);
  }
  return `${blocks.join("\n\n")}\n`;
}

async function doctor(storage: vscode.Uri, pages: Pages): Promise<void> {
  const server = await findServer(storage);
  if (server === undefined) {
    await offer();
    return;
  }
  const program = companion(server);
  const { stdout } = await run(program.command, [...program.args, "doctor"], { env: { ...process.env, NO_COLOR: "1" } }).catch(
    (error: { stdout?: string }) => ({ stdout: error.stdout ?? reason(error) }),
  );
  await pages.open(pages.set("CodeFace doctor", `\`\`\`\n${stdout}\n\`\`\`\n`), false);
}
