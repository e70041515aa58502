// Drives VS Code in a headless browser: opens a folder, types, looks, takes pictures.
import { createRequire } from "node:module";
import * as path from "node:path";

const require = createRequire(import.meta.url);

export async function open(config) {
  const { chromium } = require(config.playwright);
  const browser = await chromium.launch({
    executablePath: config.chromium,
    env: { ...process.env, ...config.chromiumEnvironment },
    args: [
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
  });
  const context = await browser.newContext({ viewport: { width: 1280, height: 760 } });
  await context.grantPermissions(["clipboard-read", "clipboard-write"], { origin: config.url });
  const page = await context.newPage();
  page.setDefaultTimeout(90_000);
  return { browser, code: new Code(page, config) };
}

/**
 * Poll until `check` gives something truthy. `again` asks once more now and then, for what the editor does only when it is
 * asked at the right moment; a key that is pressed at every poll would undo what the one before it began.
 */
export async function until(check, what, { timeout = 90_000, again = undefined, every = 4000 } = {}) {
  const deadline = Date.now() + timeout;
  let asked = Date.now();
  for (;;) {
    const value = await check();
    if (value) return value;
    if (again && Date.now() - asked > every) {
      await again();
      asked = Date.now();
    }
    if (Date.now() > deadline) throw new Error(`waited ${timeout / 1000} s for ${typeof what === "function" ? await what() : what}`);
    await new Promise((resolve) => setTimeout(resolve, 40));
  }
}

export class Code {
  constructor(page, config) {
    this.page = page;
    this.config = config;
  }

  /** Load the workbench with a folder, and a file if one is named. */
  async folder(file) {
    const host = new URL(this.config.url).host;
    const payload = [["skipWelcome", "true"], ["skipReleaseNotes", "true"]];
    if (file) payload.push(["openFile", `vscode-remote://${host}${encodeURI(path.join(this.config.folder, file))}`]);
    const query = new URLSearchParams({ folder: this.config.folder, payload: JSON.stringify(payload) });
    await this.page.goto(`${this.config.url}/?${query}`);
    await this.page.locator(".monaco-workbench .part.editor").first().waitFor();
    if (file) await this.page.locator(".monaco-editor .view-lines").first().waitFor();
  }

  /** A second window. */
  async another() {
    const page = await this.page.context().newPage();
    page.setDefaultTimeout(90_000);
    return new Code(page, this.config);
  }

  async ready() {
    await this.status(/^CodeFace( ready)?$/);
  }

  /** What the status bar item is called. */
  async label() {
    const item = this.page.locator('.statusbar-item[id*="codeface"] [role="button"], .statusbar-item[id*="codeface"] a');
    return (await item.count()) ? ((await item.first().getAttribute("aria-label")) ?? "").trim() : "no item";
  }

  /** Wait until the status bar item's label matches. */
  async status(pattern) {
    await until(async () => pattern.test(await this.label()), async () => `status ${pattern}, not “${await this.label()}”`);
  }

  async press(keys) {
    await this.page.keyboard.press(keys);
  }

  async type(text) {
    await this.page.keyboard.type(text, { delay: 25 });
  }

  /** Put the cursor at the end of the file. */
  async end() {
    await this.page.locator(".monaco-editor .view-lines").first().click();
    await this.press("Control+End");
  }

  /** Run a command of the palette by its whole title; a palette that something else closed again is opened anew. */
  async command(title) {
    const input = this.page.locator(".quick-input-widget input").first();
    const row = this.page.locator(".quick-input-list .monaco-list-row").filter({ hasText: title }).first();
    const chosen = async () => {
      await this.press("F1");
      try {
        await input.fill(`>${title}`, { timeout: 3_000 });
        await row.click({ timeout: 10_000 });
        return true;
      } catch {
        return false;
      }
    };
    await until(chosen, `“${title}” in the palette`);
  }

  /** Wait for a row of the list that a command opened. */
  async listed(text) {
    const row = this.page.locator(".quick-input-list .monaco-list-row").filter({ hasText: text }).first();
    await row.waitFor();
    return row;
  }

  /** Wait for a message with `text`; its button, if one is named, is pressed. */
  async message(text, button = undefined) {
    const toast = this.page.locator(".notification-toast", { hasText: text }).first();
    await toast.waitFor();
    if (button) await toast.locator(".monaco-button", { hasText: button }).first().click();
  }

  /** The ghost text on the screen, "" if there is none. */
  async ghost() {
    return this.page.evaluate(() =>
      [...document.querySelectorAll("[class*=ghost-text]")]
        .filter((element) => !element.parentElement?.closest("[class*=ghost-text]"))
        .map((element) => element.textContent)
        .join("\n")
        .replaceAll("\u00a0", " "),
    );
  }

  /** Ghost text that matches and stays; `key` is typed again now and then, since the editor asks when one types. */
  async waitForGhost(pattern, key) {
    let last;
    const settled = async () => {
      const text = await this.ghost();
      if (pattern.test(text) && text === last) return text;
      last = text;
      if (pattern.test(text)) await new Promise((resolve) => setTimeout(resolve, 200));
      return undefined;
    };
    const retype = async () => {
      await this.press("Backspace");
      await this.type(key);
    };
    return until(settled, async () => `ghost text ${pattern}, not “${await this.ghost()}”`, { again: retype });
  }

  /** The page inside the chat view. */
  async chat() {
    return until(async () => {
      for (const frame of this.page.frames()) {
        if (await frame.locator("body[data-ready] #input").count().catch(() => 0)) return frame;
      }
    }, "the chat page");
  }

  async picture(name) {
    await this.page.screenshot({ path: path.join(this.config.artifacts, `${name}.png`) });
  }
}
