// Markdown of a model, drawn as elements that this file makes itself: no HTML of the model's is ever parsed, an image
// becomes its description, and a link does nothing until it is clicked.

export interface CodeBlock {
  language: string;
  text: string;
}

export interface Handlers {
  code(block: CodeBlock): HTMLElement;
  link(url: string): void;
}

/** Draw `source`; an unfinished code block at its end is drawn as far as it goes. */
export function render(source: string, handlers: Handlers): DocumentFragment {
  const fragment = document.createDocumentFragment();
  const lines = source.split("\n");
  let at = 0;
  while (at < lines.length) {
    const line = lines[at] ?? "";
    const fence = /^\s*(`{3,}|~{3,})\s*([\w+#.-]*)/.exec(line);
    if (fence) {
      const end = closingFence(lines, at + 1, fence[1] as string);
      fragment.append(handlers.code({ language: fence[2] ?? "", text: lines.slice(at + 1, end).join("\n") }));
      at = end + 1;
    } else if (line.trim() === "") {
      at += 1;
    } else {
      const end = blockEnd(lines, at);
      fragment.append(block(lines.slice(at, end), handlers));
      at = end;
    }
  }
  return fragment;
}

const heading = /^(#{1,6})\s+(.*)$/;
const item = /^(\s*)([-*+]|\d+[.)])\s+(.*)$/;

function closingFence(lines: string[], from: number, fence: string): number {
  const end = lines.findIndex((line, index) => index >= from && line.trim().startsWith(fence));
  return end < 0 ? lines.length : end;
}

function blockEnd(lines: string[], from: number): number {
  if (heading.test(lines[from] ?? "")) return from + 1;
  const list = item.test(lines[from] ?? "");
  let end = from + 1;
  while (end < lines.length) {
    const line = lines[end] ?? "";
    if (line.trim() === "" || heading.test(line) || /^\s*(`{3}|~{3})/.test(line) || item.test(line) !== list) {
      const continued = list && /^\s{2,}\S/.test(line);
      if (!continued) break;
    }
    end += 1;
  }
  return end;
}

function block(lines: string[], handlers: Handlers): HTMLElement {
  const first = lines[0] ?? "";
  const title = heading.exec(first);
  if (title) return element(`h${Math.min(6, (title[1] as string).length + 2)}`, inline(title[2] ?? "", handlers));
  if (item.test(first)) return list(lines, handlers);
  if (/^(-{3,}|\*{3,}|_{3,})\s*$/.test(first)) return document.createElement("hr");
  if (lines.every((line) => line.trimStart().startsWith("|"))) return table(lines, handlers);
  if (first.startsWith(">")) {
    return element("blockquote", inline(lines.map((line) => line.replace(/^>\s?/, "")).join("\n"), handlers));
  }
  return element("p", inline(lines.join("\n"), handlers));
}

function list(lines: string[], handlers: Handlers): HTMLElement {
  const ordered = /^\s*\d/.test(lines[0] ?? "");
  const root = document.createElement(ordered ? "ol" : "ul");
  for (const line of lines) {
    const match = item.exec(line);
    if (match) {
      const entry = element("li", inline(match[3] ?? "", handlers));
      entry.dataset["depth"] = String(Math.min(4, Math.floor((match[1] ?? "").length / 2)));
      root.append(entry);
    } else {
      root.lastElementChild?.append(" ", ...inline(line.trim(), handlers));
    }
  }
  return root;
}

function table(lines: string[], handlers: Handlers): HTMLElement {
  const root = document.createElement("table");
  for (const [index, line] of lines.entries()) {
    if (/^[|\s:-]+$/.test(line)) continue;
    const cells = line.trim().replace(/^\||\|$/g, "").split("|");
    const row = document.createElement("tr");
    row.append(...cells.map((cell) => element(index === 0 ? "th" : "td", inline(cell.trim(), handlers))));
    root.append(row);
  }
  return root;
}

const spans =
  /(`+)(?<code>[\s\S]+?)\1|!\[(?<alt>[^\]]*)\]\([^)]*\)|\[(?<label>[^\]]+)\]\((?<url>[^)\s]+)[^)]*\)|\*\*(?<strong>[^*]+)\*\*|(?<![\w*])[*_](?<em>[^*_\n]+)[*_](?![\w*])/;

function inline(text: string, handlers: Handlers): Node[] {
  const nodes: Node[] = [];
  let rest = text;
  for (let match = spans.exec(rest); match; match = spans.exec(rest)) {
    nodes.push(document.createTextNode(rest.slice(0, match.index)));
    nodes.push(span(match.groups ?? {}, handlers));
    rest = rest.slice(match.index + match[0].length);
  }
  nodes.push(document.createTextNode(rest));
  return nodes;
}

function span(groups: Record<string, string | undefined>, handlers: Handlers): Node {
  if (groups["code"] !== undefined) return element("code", [document.createTextNode(groups["code"].trim())]);
  if (groups["alt"] !== undefined) return document.createTextNode(`[image: ${groups["alt"]}]`);
  if (groups["strong"] !== undefined) return element("strong", inline(groups["strong"], handlers));
  if (groups["em"] !== undefined) return element("em", inline(groups["em"], handlers));
  const url = groups["url"] ?? "";
  const link = document.createElement("button");
  link.type = "button";
  link.className = "link";
  link.setAttribute("role", "link");
  link.title = url;
  link.textContent = groups["label"] ?? url;
  link.addEventListener("click", () => handlers.link(url));
  return link;
}

function element(tag: string, children: Node[]): HTMLElement {
  const made = document.createElement(tag);
  made.append(...children);
  return made;
}
