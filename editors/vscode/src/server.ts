// One language server process: started, watched, restarted with growing pauses, and given up with a message.
import * as vscode from "vscode";
import type { LanguageClient, LanguageClientOptions } from "vscode-languageclient/node";
import type { Program } from "./environment";
import type { Status } from "./protocol";
import { initializationOptions, workspaceOptions } from "./settings";
import { showDocument } from "./pages";

/** `State.Running` of the client library, which is loaded when the server starts, not when the extension does. */
const RUNNING = 2;
const PAUSES_MS = [500, 2000, 5000];
const HEALTHY_MS = 60_000;

export class Server implements vscode.Disposable {
  private client: LanguageClient | undefined;
  private failures = 0;
  private startedAt = 0;
  private timer: NodeJS.Timeout | undefined;
  private closing = false;
  private readonly changed = new vscode.EventEmitter<Status>();
  readonly onStatus = this.changed.event;
  private readonly ran = new vscode.EventEmitter<void>();
  /** The server has answered `initialize`; what it offers is registered. */
  readonly onRunning = this.ran.event;

  constructor(
    private readonly program: () => Promise<Program | undefined>,
    private readonly version: string,
    private readonly log: vscode.LogOutputChannel,
  ) {}

  /** The running client. Throws with a sentence for the user. */
  get running(): LanguageClient {
    if (this.client?.state !== RUNNING) {
      throw new Error("The CodeFace server is not running; see “CodeFace: Show Log”.");
    }
    return this.client;
  }

  /** Start a new process; answers when the server has answered `initialize`. */
  async start(): Promise<void> {
    clearTimeout(this.timer);
    const program = await this.program();
    if (program === undefined) {
      this.changed.fire({ kind: "Warning", state: "missing", busy: false, message: "The server is not installed." });
      return;
    }
    this.changed.fire({ kind: "Normal", state: "starting", busy: true });
    this.startedAt = Date.now();
    const client = await this.make(program);
    this.client = client;
    try {
      await client.start();
    } catch (error) {
      if (this.client === client) this.failed(`It could not be started: ${reason(error)}`);
      return;
    }
    void vscode.commands.executeCommand("setContext", "codeface.running", true);
    this.ran.fire();
    this.compareVersions(client.initializeResult?.serverInfo?.version);
  }

  /** Stop the process, if there is one, and start another. */
  async restart(): Promise<void> {
    this.failures = 0;
    await this.stop();
    await this.start();
  }

  async stop(): Promise<void> {
    clearTimeout(this.timer);
    this.closing = true;
    const client = this.client;
    this.client = undefined;
    await client?.dispose().catch(() => undefined); // it may have died already
    this.closing = false;
  }

  dispose(): void {
    void this.stop();
    this.changed.dispose();
    this.ran.dispose();
  }

  private async make(program: Program): Promise<LanguageClient> {
    const library = await import("vscode-languageclient/node");
    const { CloseAction, ErrorAction, RevealOutputChannelOn } = library;
    const options: LanguageClientOptions = {
      documentSelector: [{ scheme: "file" }, { scheme: "untitled" }, { scheme: "vscode-notebook-cell" }],
      initializationOptions: initializationOptions(),
      outputChannel: this.log,
      revealOutputChannelOn: RevealOutputChannelOn.Never,
      initializationFailedHandler: () => false,
      middleware: {
        workspace: {
          configuration: (params) =>
            params.items.map((item) =>
              workspaceOptions(item.scopeUri === undefined ? undefined : vscode.Uri.parse(item.scopeUri)),
            ),
        },
        window: { showDocument },
      },
      synchronize: { configurationSection: "codeface" },
      errorHandler: {
        error: () => ({ action: ErrorAction.Continue, handled: true }),
        closed: () => {
          if (!this.closing && this.client?.state === RUNNING) this.failed("It stopped unexpectedly.");
          return { action: CloseAction.DoNotRestart, handled: true };
        },
      },
    };
    const client = new library.LanguageClient("codeface", "CodeFace", program, options);
    client.onNotification("codeface/didChangeStatus", (status: Status) => this.changed.fire(status));
    return client;
  }

  /** Try again after a pause; after the last pause, say so and stop trying. */
  private failed(why: string): void {
    this.log.error(`The server: ${why}`);
    if (Date.now() - this.startedAt > HEALTHY_MS) this.failures = 0;
    const pause = PAUSES_MS[this.failures++];
    if (pause !== undefined) {
      this.changed.fire({ kind: "Warning", state: "restarting", busy: true, message: why });
      this.timer = setTimeout(() => void this.start(), pause);
      return;
    }
    this.changed.fire({ kind: "Error", state: "error", busy: false, message: why });
    void vscode.window
      .showErrorMessage(`The CodeFace server failed ${this.failures} times. ${why}`, "Show Log", "Restart")
      .then((choice) => {
        if (choice === "Show Log") this.log.show();
        if (choice === "Restart") void this.restart();
      });
  }

  private compareVersions(version: string | undefined): void {
    const release = (text: string) => text.split(".").slice(0, 2).join(".");
    if (version !== undefined && release(version) !== release(this.version)) {
      void vscode.window.showWarningMessage(
        `The CodeFace server is version ${version} and this extension ${this.version}; update the older of the two.`,
      );
    }
  }
}

export function reason(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
