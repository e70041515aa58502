// The server's own requests and notifications; docs/PROTOCOL.md describes them.
import type { Position, Range, TextDocumentIdentifier } from "vscode-languageclient/node";

export interface Status {
  kind: "Normal" | "Warning" | "Error" | "Inactive";
  state: string;
  busy: boolean;
  progress?: number;
  message?: string;
}

export interface Delta {
  delta?: string;
}

export interface Turn {
  role: "user" | "assistant" | "system";
  content: string;
}

export interface Conversation {
  conversationId: string;
  title: string;
}

/** What `codeface/chat.get` answers. */
export interface WholeConversation extends Conversation {
  turns: Turn[];
}

export interface ChatParams {
  message: string;
  conversationId?: string;
  textDocument?: TextDocumentIdentifier;
  range?: Range;
}

export interface ChatResult {
  conversationId: string;
  reply: string;
  finishReason?: string | null;
}

export interface ModelCard {
  name: string;
  [key: string]: unknown;
}

export interface ContextParams {
  textDocument: TextDocumentIdentifier;
  position: Position;
}
