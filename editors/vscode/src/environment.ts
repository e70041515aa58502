// Where the server's program is: the user's setting, the extension's own environment, or the PATH; or how to get it.
// A workspace's own environment is never looked at: opening a folder must not run what lies in it.
import { execFile } from "node:child_process";
import { access, constants, mkdir, rm } from "node:fs/promises";
import { homedir } from "node:os";
import * as path from "node:path";
import { promisify } from "node:util";
import * as vscode from "vscode";
import { ownSetting } from "./settings";

const run = promisify(execFile);
const windows = process.platform === "win32";

export interface Program {
  command: string;
  args: string[];
}

/** The command that starts the server, undefined if there is none on this machine. */
export async function findServer(storage: vscode.Uri): Promise<Program | undefined> {
  const command = ownSetting<string[]>("codeface.server.command");
  if (command?.[0]) return { command: command[0], args: command.slice(1) };
  const interpreter = ownSetting<string>("codeface.server.interpreter");
  if (interpreter) return { command: interpreter, args: ["-m", "codeface_lsp", "lsp"] };
  // pipx and uv put programs into ~/.local/bin, which is not on the PATH of every desktop session.
  const local = path.join(homedir(), ".local", "bin", windows ? "codeface-lsp.exe" : "codeface-lsp");
  for (const candidate of [inEnvironment(storage, "codeface-lsp"), ...onPath("codeface-lsp"), local]) {
    if (await executable(candidate)) return { command: candidate, args: [] };
  }
  return undefined;
}

/** The `codeface` program beside a server. */
export function companion(server: Program): Program {
  const name = path.basename(server.command).replace(/^codeface-lsp/, "codeface");
  return server.args.length === 0
    ? { command: path.join(path.dirname(server.command), name), args: [] }
    : { command: server.command, args: ["-m", "codeface_lsp"] };
}

/** Make an environment of the extension's own and install the server into it. Throws with a sentence for the user. */
export async function install(storage: vscode.Uri, log: vscode.LogOutputChannel): Promise<void> {
  const python = await findPython();
  const target = vscode.Uri.joinPath(storage, "environment").fsPath;
  await vscode.window.withProgress(
    { location: vscode.ProgressLocation.Notification, title: "CodeFace", cancellable: true },
    async (progress, cancelled) => {
      const abort = new AbortController();
      cancelled.onCancellationRequested(() => abort.abort());
      await mkdir(storage.fsPath, { recursive: true });
      await rm(target, { recursive: true, force: true });
      progress.report({ message: "Making a Python environment…" });
      await run(python, ["-m", "venv", target], { signal: abort.signal });
      progress.report({ message: "Installing the server and PyTorch; this takes some minutes…" });
      // Bytecode is made of what is imported, when it is: making it of everything takes as long as installing it.
      const quick = ["--disable-pip-version-check", "--no-compile"];
      const pip = ["-m", "pip", "install", ...quick, "codeface-lsp[local]"];
      const { stdout } = await run(inEnvironment(storage, "python"), pip, {
        signal: abort.signal,
        maxBuffer: 64 << 20,
      });
      log.info(stdout);
    },
  );
}

/** A Python of at least 3.11. Throws with a sentence for the user. */
async function findPython(): Promise<string> {
  const names = windows ? ["py", "python"] : ["python3", "python3.13", "python3.12", "python3.11", "python"];
  let newest = "";
  for (const candidate of names.flatMap(onPath)) {
    if (!(await executable(candidate))) continue;
    try {
      const { stdout } = await run(candidate, ["-c", "import sys; print('%d.%d' % sys.version_info[:2])"]);
      const [major = 0, minor = 0] = stdout.trim().split(".").map(Number);
      if (major === 3 && minor >= 11) return candidate;
      newest ||= stdout.trim();
    } catch {
      continue; // a stub that only opens a shop, or a broken installation
    }
  }
  throw new Error(
    newest
      ? `CodeFace needs Python 3.11 or later, and this machine has ${newest}; install a newer one and try again.`
      : "CodeFace needs Python 3.11 or later, and none was found; install it from python.org and try again.",
  );
}

function inEnvironment(storage: vscode.Uri, name: string): string {
  const folder = windows ? "Scripts" : "bin";
  return path.join(storage.fsPath, "environment", folder, windows ? `${name}.exe` : name);
}

function onPath(name: string): string[] {
  const folders = (process.env["PATH"] ?? "").split(path.delimiter).filter((folder) => path.isAbsolute(folder));
  return folders.map((folder) => path.join(folder, windows ? `${name}.exe` : name));
}

async function executable(file: string): Promise<boolean> {
  return access(file, constants.X_OK).then(
    () => true,
    () => false,
  );
}
