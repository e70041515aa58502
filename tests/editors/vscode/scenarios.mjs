// What a user does in VS Code. Each scenario throws when it does not see what it must see; what it returns is JSON.
import { readFile } from "node:fs/promises";
import * as path from "node:path";
import { until } from "./driver.mjs";

async function saved(code, file, check) {
  const name = path.join(code.config.folder, file);
  return until(
    async () => {
      await code.press("Control+s"); // again: the edit may arrive after the first one
      const text = await readFile(name, "utf8");
      return check(text) ? text : undefined;
    },
    async () => `${file} to be right, not:\n${await readFile(name, "utf8")}`,
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
  const squeezed = (text) => text.replace(/\s+/g, "");
  const text = await saved(code, "shapes.py", (content) => squeezed(content).includes(squeezed(`total += sha${ghost}`)));
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
  await code.waitForGhost(/\S/, "r");
  return { openToGhostMs: Date.now() - began };
}

/** The scripted suggestion, taken by word and then whole; then by an explicit request, and dismissed. */
export async function acceptByWord(code) {
  await code.folder("shapes.py");
  await code.ready();
  await code.end();
  await code.type("\nvalue = ");
  await code.waitForGhost(/^mock\(\)/);
  await code.press("Control+ArrowRight");
  await code.waitForGhost(/^\(\)/);
  await code.press("Tab");
  await saved(code, "shapes.py", (text) => /\nvalue = mock\(\)/.test(text));
  await code.press("End");
  await code.type("\nother = ");
  await code.waitForGhost(/^mock/);
  await code.press("Escape");
  await until(async () => (await code.ghost()) === "", "the ghost text to go");
  return {};
}

/** A fix, chosen in the light bulb's menu. */
export async function fixThroughMenu(code) {
  await code.folder("wrong.ts");
  await code.ready();
  await code.page.locator(".monaco-editor .view-lines").first().click();
  await code.press("Control+Home");
  await code.press("ArrowDown");
  await code.press("End");
  for (let step = 0; step < 6; step++) await code.press("ArrowLeft"); // onto the wrong name
  const menu = code.page.locator(".action-widget");
  await until(
    async () => {
      if (await menu.locator(".monaco-list-row.action", { hasText: "CodeFace: fix" }).count()) return true;
      await code.press("Escape");
      await code.press("Control+.");
      await menu.waitFor({ timeout: 3000 }).catch(() => undefined);
    },
    "the menu of code actions",
  );
  await code.picture("vscode-actions");
  await menu.locator(".monaco-list-row.action", { hasText: "CodeFace: fix" }).first().click();
  await until(async () => (await code.page.locator(".view-lines").first().textContent())?.replaceAll("\u00a0", " ").includes("return x + x"), "the fix in the editor");
  await code.picture("vscode-fixed");
  await saved(code, "wrong.ts", (text) => text.includes("return x + x"));
  return {};
}

/** Chat: streamed Markdown, a code block inserted, completion of commands and files, and an answer that is stopped. */
export async function chat(code) {
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
  if (!(await input.inputValue()).includes("@shapes.py ")) throw new Error(`not completed: ${await input.inputValue()}`);

  await input.fill("What is the answer?");
  await input.press("Enter");
  await page.locator("article.assistant figure code", { hasText: "ANSWER = 42" }).waitFor();
  await page.locator("#send").waitFor();
  const images = await page.locator("article img, article a[href], article iframe, article script").count();
  if (images) throw new Error("a model's answer made elements that load by themselves");
  await page.locator("article.assistant strong", { hasText: "forty-two" }).waitFor();
  await code.picture("vscode-chat");
  await page.locator("article.assistant button", { hasText: "Insert" }).click();
  await saved(code, "shapes.py", (text) => text.includes("ANSWER = 42"));

  await input.fill("Say something endless");
  await input.press("Enter");
  await until(async () => ((await page.locator("article.assistant").last().textContent()) ?? "").split("word").length > 5, "the stream to begin");
  await page.locator("#stop").click();
  await page.locator("article.assistant .note", { hasText: "Stopped." }).waitFor();
  await page.locator("#send").waitFor();
  return {};
}

/** A repository that tries to choose interpreter, command, model and address. */
export async function hostile(code) {
  await code.folder("shapes.py");
  await code.ready();
  await code.end();
  await code.type("\nvalue = ");
  await code.waitForGhost(/^mock\(\)/);
  return {};
}

/** A server that dies at its start: pauses between the attempts, then a message with a button to the log. */
export async function crashing(code) {
  await code.folder("shapes.py");
  const toast = code.page.locator(".notification-toast", { hasText: "CodeFace server failed" });
  await toast.waitFor({ timeout: 90_000 });
  await code.picture("vscode-crash");
  await toast.locator(".monaco-button", { hasText: "Show Log" }).click();
  await until(async () => (await code.page.locator(".part.panel").count()) > 0, "the log");
  return {};
}

/** Status, pause and resume through the palette, and the time that activation took. */
export async function statusAndActivation(code) {
  await code.folder("shapes.py");
  await code.ready();
  await code.command("CodeFace: Pause or Resume Suggestions");
  await code.status(/paused/);
  await code.command("CodeFace: Pause or Resume Suggestions");
  await code.ready();
  // The least of three windows: a machine that does other things at the moment makes each slower.
  const times = [];
  for (let window = 0; window < 3; window++) {
    times.push(await activation(code));
    if (Math.min(...times) <= 100) break;
    await code.folder("shapes.py");
    await code.ready();
  }
  await code.picture("vscode-running-extensions");
  return { activationMs: Math.min(...times), all: times };
}

async function activation(code) {
  await code.command("Developer: Show Running Extensions");
  const row = code.page.locator(".runtime-extensions-editor .monaco-list-row", { hasText: "codeface" }).first();
  await row.waitFor();
  const text = await until(async () => {
    const shown = (await row.locator(".activation-time").textContent()) ?? "";
    return /\d+\s*ms/.test(shown) ? shown : undefined;
  }, "the activation time");
  return Number(/(\d+)\s*ms/.exec(text)[1]);
}
