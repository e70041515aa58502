"""`python -m codeface_lsp` is `codeface`."""

from codeface_lsp.cli.app import main

main()
