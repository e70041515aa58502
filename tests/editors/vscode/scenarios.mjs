// What a user does in VS Code. Each scenario throws when it does not see what it must see; what it returns is JSON.
import { readFile, readdir, writeFile } from "node:fs/promises";
import * as path from "node:path";
import { until } from "./driver.mjs";

async function saved(code, file, check) {
  const name = path.join(code.config.folder, file);
  const save = () => code.press("Control+s");
  await save();
  return until(
    async () => {
      const text = await readFile(name, "utf8");
      return check(text) ? text : undefined;
    },
    async () => `${file} to be right, not:\n${await readFile(name, "utf8")}`,
    { again: save, every: 1500 }, // the edit may arrive after the first one
  );
}

/** Ghost text of the bundled model, taken whole; how long it took from loading the page. */
export async function ghostText(code) {
  const began = Date.now();
  await code.folder("shapes.py");
  const opened = Date.now();
  await code.ready();
  await code.end();
  await code.type("\n\ndef total_perimeter(shapes):\ntotal = 0\nfor shape in shapes:\ntotal += sha");
  const typed = Date.now();
  const ghost = await code.waitForGhost(/\S/, "a");
  const shown = Date.now();
  await code.picture("vscode-ghost-text");
  await code.press("Tab");
  // Not compared with what was drawn: the lines below the first are drawn in a zone of their own, in no certain order.
  const text = await saved(code, "shapes.py", (content) => /total \+= sha\w/.test(content.split("total_perimeter")[1] ?? ""));
  await code.command("CodeFace: Show What the Model Saw");
  await until(async () => (await code.page.locator(".tab", { hasText: "What the model saw" }).count()) > 0, "the page of what the model saw");
  await code.picture("vscode-context");
  return { ghost, text, loadMs: opened - began, typedMs: typed - opened, ghostMs: shown - typed };
}

/** With everything running: from opening another file to its first ghost text. */
export async function openToGhost(code) {
  await code.folder("shapes.py");
  await code.ready();
  await code.end();
  await code.type("\nfor shape in sha");
  await code.waitForGhost(/\S/, "a");
  const began = Date.now();
  await code.press("Control+p");
  await code.page.locator(".quick-input-widget input").first().fill("other.py");
  await code.page.locator(".quick-input-list .monaco-list-row", { hasText: "other.py" }).first().waitFor();
  await code.press("Enter");
  await code.page.locator(".tab.active", { hasText: "other.py" }).waitFor();
  await code.page.locator(".monaco-editor.focused").waitFor();
  await code.press("Control+End");
  await code.type("r");
  const retype = async () => {
    await code.press("Backspace");
    await code.type("r");
  };
  await until(() => code.ghost(), "ghost text", { again: retype });
  return { openToGhostMs: Date.now() - began };
}

/** From the file's text on the screen to its first ghost text, in a window that has just been opened; no key is typed twice. */
export async function coldGhost(code) {
  const began = Date.now();
  await code.folder("shapes.py");
  const seen = Date.now();
  await code.end();
  await code.type("\nfor shape in sha");
  await until(() => code.ghost(), "ghost text");
  return { seenToGhostMs: Date.now() - seen, loadMs: seen - began };
}

/**
 * Three windows on one folder: the engines of this house, and the resident memory of each language server in MiB. Each has
 * a file of its own: VS Code restores what another window left unsaved, and after two lines like it a third suggests nothing.
 */
export async function threeWindows(code) {
  const windows = [code, await code.another(), await code.another()];
  for (const [at, window] of windows.entries()) {
    await window.folder(code.config.files[at]);
    await window.ready();
    await window.end();
    await window.type("\nfor shape in sha");
    await window.waitForGhost(/\S/, "a");
  }
  const found = { engines: 0, serversMiB: [] };
  for (const pid of await readdir("/proc")) {
    const read = (name) => readFile(`/proc/${pid}/${name}`, "utf8").catch(() => "");
    if (!/^\d+$/.test(pid) || !(await read("environ")).includes(`CODEFACE_HOME=${code.config.home}`)) continue;
    const command = await read("cmdline");
    if (command.includes("codeface_lsp.serving")) found.engines += 1;
    if (command.includes("codeface-lsp")) found.serversMiB.push(Number(/VmRSS:\s+(\d+)/.exec(await read("status"))[1]) / 1024);
  }
  return found;
}

/** Milliseconds that activation took, in a few windows. */
export async function activations(code) {
  const times = [];
  for (let window = 0; window < 3; window++) {
    await code.folder("shapes.py");
    await code.ready();
    times.push(await activation(code));
  }
  return { times };
}

/** Typed before there is a server, which starts when the file `config.go` is there: its ghost text comes without a further key. */
export async function typedBefore(code) {
  await code.folder("shapes.py");
  await code.status(/starting/);
  await code.end();
  await code.type("\nvalue = ");
  if (await code.ghost()) throw new Error("a suggestion without a server");
  await writeFile(code.config.go, "");
  await until(async () => /^mock\(\)/.test(await code.ghost()), async () => `ghost text, not “${await code.ghost()}”`);
  return {};
}

/** The scripted suggestion: taken by word and then whole, by line; another one instead of it; and none of them. */
export async function acceptPieces(code) {
  await code.folder("shapes.py");
  await code.ready();
  await code.end();
  await code.type("\nvalue = ");
  await code.waitForGhost(/^mock\(\)/, " ");
  await code.press("Control+ArrowRight");
  await code.waitForGhost(/^\(\)/, "k");
  await code.press("Tab");
  await saved(code, "shapes.py", (text) => /\nvalue = mock\(\)/.test(text));

  await code.end();
  await code.type("\nother = ");
  await code.waitForGhost(/^mock/, " ");
  await until(async () => /^other\(\)/.test(await code.ghost()), async () => `another suggestion, not “${await code.ghost()}”`, {
    again: () => code.press("Alt+]"),
    every: 1000,
  });
  await code.press("Tab");
  await saved(code, "shapes.py", (text) => /\nother = other\(\)/.test(text));

  await code.end();
  await code.type("\nthird = ");
  await code.waitForGhost(/^mock/, " ");
  await code.press("Control+Shift+ArrowRight");
  await saved(code, "shapes.py", (text) => /\nthird = mock\(\)  # mock/.test(text));

  await code.end();
  await code.type("\nfourth = ");
  await code.waitForGhost(/^mock/, " ");
  await code.press("Escape");
  await until(async () => (await code.ghost()) === "", "the ghost text to go");
  return {};
}

/** A suggestion of three lines: each line alone. */
export async function acceptLines(code) {
  const shown = async (text) => {
    const ghost = async () => (await code.ghost()).replace(/\s/g, ""); // each word of it is an element
    await until(async () => (await ghost()).includes(text), async () => `“${text}” in the ghost text, not “${await ghost()}”`);
  };
  await code.folder("lines.py");
  await code.ready();
  await code.end();
  await code.type("\ndef perimeter(side):\n");
  await shown("returntotal");
  await code.picture("vscode-lines");
  await code.press("Control+Shift+ArrowRight");
  await saved(code, "lines.py", (text) => text.includes("    total = 0") && !text.includes("side * 4"));
  await shown("total+=side*4");
  await code.press("Control+Shift+ArrowRight");
  await saved(code, "lines.py", (text) => text.includes("    total = 0\n    total += side * 4") && !text.includes("return"));
  await shown("returntotal");
  await code.press("Control+Shift+ArrowRight");
  await saved(code, "lines.py", (text) => text.trimEnd().endsWith("):\n    total = 0\n    total += side * 4\n    return total"));
  return {};
}

/** A fix, chosen in the light bulb's menu. */
export async function fixThroughMenu(code) {
  const before = await readFile(path.join(code.config.folder, "wrong.ts"), "utf8");
  await code.folder("wrong.ts");
  await code.ready();
  await code.page.locator(".monaco-editor .view-lines").first().click();
  await code.press("Control+Home");
  await code.press("ArrowDown");
  await code.press("End");
  for (let step = 0; step < 6; step++) await code.press("ArrowLeft"); // onto the wrong name
  const fix = code.page.locator(".action-widget .monaco-list-row.action", { hasText: "CodeFace: fix" }).first();
  const ask = async () => {
    await code.press("Escape");
    await code.press("Control+.");
  };
  await ask();
  await until(() => fix.isVisible(), "the menu of code actions", { again: ask });
  await code.picture("vscode-actions");
  await fix.click();
  await saved(code, "wrong.ts", (text) => text.includes("return x + x"));
  await code.page.locator(".monaco-editor .view-lines").first().click();
  await code.press("Control+z"); // one step takes all of it back
  await saved(code, "wrong.ts", (text) => text === before);
  return {};
}

/** Chat: completion of commands and files, streamed Markdown, and its code inserted, copied and applied. */
async function chatAndCode(code) {
  await code.folder("shapes.py");
  await code.ready();
  await code.end();
  await code.command("CodeFace: Open Chat");
  const page = await code.chat();
  const input = page.locator("#input");

  await input.fill("");
  await input.pressSequentially("/ex");
  await page.locator("#choices li", { hasText: "/explain" }).waitFor();
  if ((await input.getAttribute("aria-expanded")) !== "true") throw new Error("the list is not announced");
  await input.press("Escape");
  await input.fill("");
  await input.pressSequentially("Look at @sha");
  await page.locator("#choices li", { hasText: "@shapes.py" }).waitFor();
  await input.press("Enter");
  await until(async () => (await input.inputValue()).includes("@shapes.py "), async () => `completion, not ${await input.inputValue()}`);

  await input.fill("What is the answer?");
  await input.press("Enter");
  const answered = async (text) => {
    await page.locator("article.assistant").last().locator(".body:not([aria-busy])", { hasText: text }).waitFor();
    await page.locator("#send").waitFor();
  };
  await answered("ANSWER = 42");
  const images = await page.locator("article img, article a[href], article iframe, article script").count();
  if (images) throw new Error("a model's answer made elements that load by themselves");
  await page.locator("article.assistant strong", { hasText: "forty-two" }).waitFor();
  await code.picture("vscode-chat");
  await page.locator("article.assistant button", { hasText: "Insert" }).click();
  await saved(code, "shapes.py", (text) => text.trimEnd().endsWith("ANSWER = 42"));
  await page.locator("article.assistant button", { hasText: "Copy" }).click();
  await until(async () => (await code.page.evaluate(() => navigator.clipboard.readText())).includes("ANSWER = 42"), "the copy");
  await code.page.locator(".monaco-editor .view-lines").first().click();
  await code.press("Control+Home");
  await code.press("Shift+ArrowRight"); // a part of the first line stands for the whole of it
  await page.locator("#context", { hasText: "shapes.py:1–1" }).waitFor();
  await page.locator("article.assistant button", { hasText: "Apply" }).click();
  await saved(code, "shapes.py", (text) => text.startsWith("ANSWER = 42") && !text.includes("Shapes and their areas"));
  return { page, input, answered };
}

/** Chat, on: an edited question, another answer, an answer that is stopped, and an earlier conversation. */
export async function chat(code) {
  const { page, input, answered } = await chatAndCode(code);
  await page.locator("article.user button", { hasText: "Edit" }).first().click();
  if ((await input.inputValue()) !== "What is the answer?") throw new Error("the question is not there to be edited");
  await input.fill("What was the question?");
  await input.press("Enter");
  await answered("Nobody knows.");
  if ((await page.locator("article").count()) !== 2) throw new Error("the edited question stands beside the first one");
  await page.evaluate(() => document.querySelector("article.assistant").setAttribute("data-first", ""));
  await page.locator("#again").click();
  await page.locator("article.assistant:not([data-first])", { hasText: "Nobody knows." }).waitFor();
  await answered("Nobody knows.");

  await input.fill("Say something endless");
  await input.press("Enter");
  await until(async () => ((await page.locator("article.assistant").last().textContent()) ?? "").split("word").length > 5, "the stream to begin");
  await page.locator("#stop").click();
  await page.locator("article.assistant .note", { hasText: "Stopped." }).waitFor();
  await page.locator("#send").waitFor();

  await code.command("CodeFace: New Conversation");
  await until(async () => (await page.locator("article").count()) === 0, "an empty page");
  await code.command("CodeFace: Earlier Conversations");
  await (await code.listed("What was the question?")).click();
  await page.locator("article.assistant", { hasText: "Nobody knows." }).first().waitFor();
  return {};
}

/** A repository that tries to choose interpreter, command, model and address, in a window that does not trust it. */
export async function hostile(code) {
  await code.folder("shapes.py");
  await code.page.locator(".statusbar-item", { hasText: "Restricted Mode" }).waitFor();
  await code.ready();
  await code.end();
  await code.type("\nvalue = ");
  await code.waitForGhost(/^mock\(\)/, " ");
  await code.picture("vscode-restricted");
  return {};
}

/** A server that dies at its start: pauses between the attempts, then a message with a button to the log. */
export async function crashing(code) {
  await code.folder("shapes.py");
  await code.message("CodeFace server failed", "Show Log");
  await until(async () => (await code.page.locator(".part.panel").count()) > 0, "the log");
  await code.picture("vscode-crash");
  return {};
}

/** A server of another release than the extension's. */
export async function otherVersion(code) {
  await code.folder("shapes.py");
  await code.message("The CodeFace server is version 9.1.0 and this extension 0.1.0; update the older of the two.");
  await code.ready();
  return {};
}

/** A model that is not here, named in the picker: the status bar tells how far its download is; then it is the chosen one. */
export async function download(code) {
  await code.folder("shapes.py");
  await code.ready();
  await code.command("CodeFace: Choose Model");
  await (await code.listed("Another model")).click();
  await code.page.locator(".quick-input-widget", { hasText: "A Hugging Face id" }).waitFor();
  await code.page.locator(".quick-input-widget input").first().fill(code.config.model);
  await code.press("Enter");
  await code.status(/loading [1-9]\d?%/);
  await code.picture("vscode-download");
  const label = await code.label();
  const chosen = async () => (await readFile(code.config.settings, "utf8")).includes(`"codeface.model.completion": "${code.config.model}"`);
  if (await chosen()) throw new Error("the model was chosen before it was there");
  await until(chosen, "the model to be chosen");
  await code.ready();
  return { label };
}

/** A machine without the server: it is offered, `config.problem` says why it cannot be installed, or it is installed. */
export async function installing(code) {
  await code.folder("shapes.py");
  await code.status(/not installed/);
  await code.message("The CodeFace server is not installed on this machine", "Install");
  if (code.config.problem) {
    await code.message(code.config.problem);
    return {};
  }
  await code.ready();
  await code.end();
  await code.type("\nvalue = ");
  await code.waitForGhost(/^mock\(\)/, " ");
  return {};
}

/** The palette's commands: pause, model, statistics, restart, walkthrough; two windows; the time that activation took. */
export async function commands(code) {
  await code.folder("shapes.py");
  await code.ready();
  await code.command("CodeFace: Pause or Resume Suggestions");
  await code.status(/paused/);
  await code.end();
  await code.type("\nvalue = ");
  if (await code.ghost()) throw new Error("a suggestion in spite of the pause");
  await code.command("CodeFace: Pause or Resume Suggestions");
  await code.ready();
  await code.end();
  await code.type(" ");
  await code.waitForGhost(/^mock\(\)/, " ");
  await code.press("Tab");

  await code.command("CodeFace: Choose Model");
  await code.listed("scripted-chat");
  await code.press("Escape");
  await code.page.locator('.statusbar-item[id*="codeface"] a').first().click();
  await code.listed("Show statistics");
  await code.press("Escape");
  await code.command("CodeFace: Show Statistics");
  await code.page.locator(".tab.active", { hasText: "CodeFace" }).waitFor();
  await until(async () => {
    for (const frame of code.page.frames()) {
      if (/suggestions shown/.test((await frame.locator("body").textContent().catch(() => "")) ?? "")) return true;
    }
  }, "the statistics");
  await code.picture("vscode-statistics");

  await code.command("Welcome: Open Walkthrough...");
  await (await code.listed("Get started with CodeFace")).click();
  await code.page.getByText("See ghost text").first().waitFor();
  await code.picture("vscode-walkthrough");
  await code.command("CodeFace: Restart Server");
  await code.ready();

  const second = await code.another();
  await second.folder("shapes.py");
  await second.ready();
  await second.end();
  await second.type("\nvalue = ");
  await second.waitForGhost(/^mock\(\)/, " ");
  await second.page.close();
  await code.ready();
  return { activationMs: await activation(code) };
}

async function activation(code) {
  await code.command("Developer: Show Running Extensions");
  const list = code.page.locator(".runtime-extensions-editor .monaco-list").first();
  const row = list.locator(".monaco-list-row", { hasText: "codeface" }).first();
  await list.hover();
  // The slowest stand first, and only rows in sight exist.
  const scroll = () => code.page.mouse.wheel(0, 300);
  await until(() => row.isVisible(), "CodeFace among the running extensions", { again: scroll, every: 500 });
  const text = await until(async () => {
    const shown = (await row.locator(".activation-time").textContent()) ?? "";
    return /\d+\s*ms/.test(shown) ? shown : undefined;
  }, "the activation time");
  return Number(/(\d+)\s*ms/.exec(text)[1]);
}
