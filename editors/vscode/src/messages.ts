// What the extension and the chat page say to each other.

export interface ShownTurn {
  role: "user" | "assistant";
  text: string;
}

export type ToPage =
  | { type: "show"; turns: ShownTurn[] }
  | { type: "question"; text: string }
  | { type: "delta"; text: string }
  | { type: "end"; text?: string; note?: string }
  | { type: "context"; label: string }
  | { type: "references"; prefix: string; names: string[] }
  | { type: "draft"; text: string };

export type CodeUse = "insert" | "apply" | "copy";

export type FromPage =
  | { type: "ready" }
  | { type: "send"; text: string }
  | { type: "edit"; index: number; text: string }
  | { type: "stop" }
  | { type: "regenerate" }
  | { type: "code"; use: CodeUse; text: string }
  | { type: "link"; url: string }
  | { type: "references"; prefix: string };
