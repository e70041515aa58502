"""`python -m codeface_lsp` is `codeface`; `python -m codeface_lsp lsp` starts as fast as `codeface-lsp`."""

import sys

if sys.argv[1:] == ["lsp"]:
    from codeface_lsp.cli import lsp

    del sys.argv[1:]
    lsp.main()
else:
    from codeface_lsp.cli.app import main

    main()
