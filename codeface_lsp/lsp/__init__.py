"""One file per LSP method: thin handlers over codeface_lsp.assist."""
