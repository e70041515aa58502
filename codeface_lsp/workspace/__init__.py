"""What lives beside the documents: symbol index, recent edits, ignore rules, redaction, watching."""
