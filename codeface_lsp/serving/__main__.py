"""`python -m codeface_lsp.serving`: the engine's process as the launcher starts it."""

from __future__ import annotations

import sys

from codeface_lsp import settings
from codeface_lsp.errors import SettingsError
from codeface_lsp.serving import main

if __name__ == "__main__":
    try:
        loaded = settings.load()
    except SettingsError as error:
        print(error.message, file=sys.stderr)
        sys.exit(main.EXIT_FAILED)
    sys.exit(main.run(loaded))
