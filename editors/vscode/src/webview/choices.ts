// Completion of slash commands and @-references in the input, as an ARIA combobox with a list.

export const commands: [name: string, what: string][] = [
  ["/explain", "explain the selection"],
  ["/fix", "fix it"],
  ["/tests", "write tests for it"],
  ["/doc", "write its docstring"],
  ["/refactor", "refactor it"],
  ["/search", "answer from the workspace"],
  ["/lesson", "plan, explanation and exercises"],
];

export class Choices {
  private shown: string[] = [];
  private selected = 0;
  private start = 0;

  constructor(
    private readonly input: HTMLTextAreaElement,
    private readonly list: HTMLElement,
    private readonly askReferences: (prefix: string) => void,
  ) {}

  get open(): boolean {
    return !this.list.hidden;
  }

  /** The text before the cursor changed. */
  update(): void {
    const before = this.input.value.slice(0, this.input.selectionStart);
    const command = /^\/\w*$/.exec(before);
    const reference = /(?:^|\s)@([^\s@]*)$/.exec(before);
    if (command) {
      this.start = 0;
      this.show(commands.filter(([name]) => name.startsWith(before)));
    } else if (reference) {
      this.start = before.length - (reference[1] ?? "").length - 1;
      this.askReferences(reference[1] ?? "");
    } else {
      this.close();
    }
  }

  /** The names for a prefix have arrived; stale ones are ignored. */
  references(prefix: string, names: string[]): void {
    const before = this.input.value.slice(0, this.input.selectionStart);
    if (before.endsWith(`@${prefix}`)) this.show(names.map((name) => [`@${name}`, ""]));
  }

  /** A key in the input; whether it was meant for the list. */
  key(event: KeyboardEvent): boolean {
    if (!this.open) return false;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      const step = event.key === "ArrowDown" ? 1 : this.shown.length - 1;
      this.select((this.selected + step) % this.shown.length);
    } else if (event.key === "Enter" || event.key === "Tab") {
      this.take(this.selected);
    } else if (event.key === "Escape") {
      this.close();
    } else {
      return false;
    }
    return true;
  }

  close(): void {
    this.list.hidden = true;
    this.input.setAttribute("aria-expanded", "false");
    this.input.removeAttribute("aria-activedescendant");
  }

  private show(entries: [name: string, what: string][]): void {
    if (entries.length === 0) return this.close();
    this.shown = entries.map(([name]) => name);
    this.list.replaceChildren(
      ...entries.map(([name, what], index) => {
        const entry = document.createElement("li");
        entry.id = `choice-${index}`;
        entry.setAttribute("role", "option");
        entry.textContent = what ? `${name} – ${what}` : name;
        entry.addEventListener("mousedown", (event) => {
          event.preventDefault();
          this.take(index);
        });
        return entry;
      }),
    );
    this.list.hidden = false;
    this.input.setAttribute("aria-expanded", "true");
    this.select(0);
  }

  private select(index: number): void {
    this.selected = index;
    for (const [at, entry] of [...this.list.children].entries()) {
      entry.setAttribute("aria-selected", String(at === index));
      if (at === index) entry.scrollIntoView({ block: "nearest" });
    }
    this.input.setAttribute("aria-activedescendant", `choice-${index}`);
  }

  private take(index: number): void {
    const cursor = this.input.selectionStart;
    this.input.setRangeText(`${this.shown[index]} `, this.start, cursor, "end");
    this.close();
    this.input.focus();
  }
}
