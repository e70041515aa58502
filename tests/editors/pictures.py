"""Turn the terminals' pictures among the artefacts into PNG files, with the installed Chromium.

`.venv/bin/python -m tests.editors.pictures NAME...` writes `docs/images/NAME.png`;
VS Code's pictures are copied.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

from tests.editors.conftest import ARTIFACTS, ROOT, find_editor


def main() -> None:
    chromium = find_editor("chromium")
    for name in sys.argv[1:]:
        target = ROOT / "docs" / "images" / f"{name}.png"
        if (ARTIFACTS / f"{name}.png").exists():
            shutil.copy(ARTIFACTS / f"{name}.png", target)
            continue
        options = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            "--window-size=908,608",
        ]
        page = (ARTIFACTS / f"{name}.html").as_uri()
        subprocess.run(
            [chromium.executable, *options, f"--screenshot={target}", page],
            env={**os.environ, **chromium.environment},
            check=True,
            capture_output=True,
            timeout=60,
        )


if __name__ == "__main__":
    main()
