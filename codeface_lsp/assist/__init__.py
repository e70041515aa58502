"""The use cases without LSP types: inline completion, edits, explain, chat, search, lessons."""
