"""How codeface-tiny is made: corpus, tokenizer, training, evaluation, export. See training/README.md."""
