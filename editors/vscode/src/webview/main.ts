// The chat page: draws the conversation, keeps nothing.
import type { CodeUse, FromPage, ShownTurn, ToPage } from "../messages";
import { Choices } from "./choices";
import { type CodeBlock, render } from "./markdown";

declare function acquireVsCodeApi(): { postMessage(message: FromPage): void };

const vscode = acquireVsCodeApi();
const byId = <T extends HTMLElement>(id: string) => document.getElementById(id) as T;
const log = byId("log");
const form = byId<HTMLFormElement>("form");
const input = byId<HTMLTextAreaElement>("input");
const send = byId<HTMLButtonElement>("send");
const stop = byId<HTMLButtonElement>("stop");
const again = byId<HTMLButtonElement>("again");
const announcer = byId("announcer");
const choices = new Choices(input, byId("choices"), (prefix) => vscode.postMessage({ type: "references", prefix }));

let answer: { body: HTMLElement; text: string } | undefined;
let turns = 0;

function codeBlock(block: CodeBlock): HTMLElement {
  const figure = document.createElement("figure");
  const bar = document.createElement("figcaption");
  bar.append(block.language || "code");
  for (const [use, label] of [["insert", "Insert"], ["apply", "Apply"], ["copy", "Copy"]] as [CodeUse, string][]) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "quiet";
    button.textContent = label;
    button.setAttribute("aria-label", `${label} this code`);
    button.addEventListener("click", () => {
      vscode.postMessage({ type: "code", use, text: block.text });
      announcer.textContent = use === "copy" ? "Copied." : "Done.";
    });
    bar.append(button);
  }
  const pre = document.createElement("pre");
  pre.tabIndex = 0;
  const code = document.createElement("code");
  code.textContent = block.text;
  pre.append(code);
  figure.append(bar, pre);
  return figure;
}

const handlers = { code: codeBlock, link: (url: string) => vscode.postMessage({ type: "link", url }) };

function add(turn: ShownTurn): HTMLElement {
  const article = document.createElement("article");
  article.className = turn.role;
  article.setAttribute("aria-label", turn.role === "user" ? "You" : "CodeFace");
  const header = document.createElement("h2");
  header.textContent = turn.role === "user" ? "You" : "CodeFace";
  if (turn.role === "user") header.append(editButton(turns, turn.text));
  const body = document.createElement("div");
  body.className = "body";
  body.append(render(turn.text, handlers));
  article.append(header, body);
  log.append(article);
  turns += 1;
  return body;
}

function editButton(index: number, text: string): HTMLElement {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "quiet";
  button.textContent = "Edit";
  button.setAttribute("aria-label", "Edit this question and ask again");
  button.addEventListener("click", () => {
    input.value = text;
    input.dataset["edit"] = String(index);
    input.focus();
  });
  return button;
}

function scroll(): void {
  log.scrollTop = log.scrollHeight;
}

function answering(yes: boolean): void {
  send.hidden = yes;
  stop.hidden = !yes;
  again.hidden = yes || turns === 0;
}

let drawing = false;
function draw(): void {
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(() => {
    drawing = false;
    if (!answer) return;
    const follow = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
    answer.body.replaceChildren(render(answer.text, handlers));
    if (follow) scroll();
  });
}

function received(message: ToPage): void {
  switch (message.type) {
    case "show":
      log.replaceChildren();
      turns = 0;
      message.turns.forEach(add);
      answer = undefined;
      answering(false);
      return scroll();
    case "question":
      add({ role: "user", text: message.text });
      answer = { body: add({ role: "assistant", text: "" }), text: "" };
      answer.body.setAttribute("aria-busy", "true");
      announcer.textContent = "CodeFace answers.";
      answering(true);
      return scroll();
    case "delta":
      if (answer) answer.text += message.text;
      return draw();
    case "end":
      return finish(message);
    case "context":
      byId("context").textContent = message.label;
      return;
    case "references":
      return choices.references(message.prefix, message.names);
    case "draft":
      input.value = message.text;
      input.focus();
      return;
  }
}

function finish(message: { text?: string; note?: string }): void {
  if (!answer) return;
  answer.body.removeAttribute("aria-busy");
  answer.body.replaceChildren(render(message.text ?? answer.text, handlers));
  if (message.note) {
    const note = document.createElement("p");
    note.className = "note";
    note.textContent = message.note;
    answer.body.append(note);
  }
  announcer.textContent = message.note ?? answer.body.textContent ?? "";
  answer = undefined;
  answering(false);
  scroll();
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const text = input.value.trim();
  if (!text || answer) return;
  const edited = input.dataset["edit"];
  delete input.dataset["edit"];
  input.value = "";
  choices.close();
  vscode.postMessage(edited === undefined ? { type: "send", text } : { type: "edit", index: Number(edited), text });
});
input.addEventListener("input", () => choices.update());
input.addEventListener("keydown", (event) => {
  if (choices.key(event)) {
    event.preventDefault();
  } else if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    form.requestSubmit();
  } else if (event.key === "Escape" && answer) {
    vscode.postMessage({ type: "stop" });
  }
});
stop.addEventListener("click", () => vscode.postMessage({ type: "stop" }));
again.addEventListener("click", () => vscode.postMessage({ type: "regenerate" }));
window.addEventListener("message", (event: MessageEvent<ToPage>) => received(event.data));
answering(false);
document.body.dataset["ready"] = "true";
vscode.postMessage({ type: "ready" });
