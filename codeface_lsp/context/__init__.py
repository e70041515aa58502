"""Pure context building: from a snapshot and a position to the parts of a prompt. One file imports tree_sitter."""
